//! JSON to Lua values.

use super::Options;
use crate::control::Control;
use crate::library::number_text::parse_prefix;
use crate::raised::text;
use mlua::{Lua, Table, Value};
use std::rc::Rc;

/// A piece of JSON.
#[derive(Debug, PartialEq)]
enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    /// The text is in [`Scanner::string`].
    String,
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Error(&'static str),
}

impl Token {
    const fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Error(problem) => problem,
        }
    }
}

/// A table being filled.
struct Open {
    table: Table,
    /// The key the next value is for; an array's counts.
    key: Value,
    is_array: bool,
    index: usize,
}

/// Takes tokens off a text.
struct Scanner<'a> {
    json: &'a [u8],
    at: usize,
    /// Where the latest token, or the error in it, is.
    token_at: usize,
    string: Vec<u8>,
    invalid_numbers: bool,
}

pub(super) fn decode(
    lua: &Lua,
    control: &Rc<Control>,
    options: &Options,
    json: &[u8],
) -> mlua::Result<Value> {
    if json.len() >= 2 && (json[0] == 0 || json[1] == 0) {
        return Err(text(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut scanner = Scanner {
        json,
        at: 0,
        token_at: 0,
        string: Vec::new(),
        invalid_numbers: options.decode_invalid_numbers,
    };
    let mut open: Vec<Open> = Vec::new();
    let mut token = scanner.next();
    let value = 'value: loop {
        control.work(lua, 16)?;
        let mut value = match token {
            Token::String => Value::String(lua.create_string(&scanner.string)?),
            Token::Number(number) => Value::Number(number),
            Token::Boolean(value) => Value::Boolean(value),
            Token::Null => Value::NULL,
            Token::ObjectBegin | Token::ArrayBegin => {
                let is_array = token == Token::ArrayBegin;
                let depth = open.len() + 1;
                if depth > options.decode_depth_max {
                    return Err(text(
                        lua,
                        format!(
                            "Found too many nested data structures ({depth}) at character {}",
                            scanner.at
                        ),
                    ));
                }
                let table = lua.create_table()?;
                token = scanner.next();
                let end = if is_array { Token::ArrayEnd } else { Token::ObjectEnd };
                if token == end {
                    Value::Table(table)
                } else {
                    let mut begun = Open { table, key: Value::Nil, is_array, index: 0 };
                    if !is_array {
                        begun.key = key(lua, &mut scanner, &token)?;
                        token = scanner.next();
                    }
                    open.push(begun);
                    continue 'value;
                }
            }
            other => return Err(expected(lua, &scanner, "value", &other)),
        };
        loop {
            let Some(innermost) = open.last_mut() else { break 'value value };
            innermost.add(value)?;
            token = scanner.next();
            let (end, wanted) = if innermost.is_array {
                (Token::ArrayEnd, "comma or array end")
            } else {
                (Token::ObjectEnd, "comma or object end")
            };
            if token == end {
                value = Value::Table(open.pop().expect("it is the innermost").table);
                continue;
            }
            if token != Token::Comma {
                return Err(expected(lua, &scanner, wanted, &token));
            }
            token = scanner.next();
            if !innermost.is_array {
                innermost.key = key(lua, &mut scanner, &token)?;
                token = scanner.next();
            }
            continue 'value;
        }
    };
    match scanner.next() {
        Token::End => Ok(value),
        other => Err(expected(lua, &scanner, "the end", &other)),
    }
}

impl Open {
    fn add(&mut self, value: Value) -> mlua::Result<()> {
        if self.is_array {
            self.index += 1;
            self.table.raw_set(self.index, value)
        } else {
            self.table.raw_set(std::mem::replace(&mut self.key, Value::Nil), value)
        }
    }
}

/// The key of a pair, whose first token is `token`, and the colon.
fn key(lua: &Lua, scanner: &mut Scanner<'_>, token: &Token) -> mlua::Result<Value> {
    if *token != Token::String {
        return Err(expected(lua, scanner, "object key string", token));
    }
    let key = Value::String(lua.create_string(&scanner.string)?);
    match scanner.next() {
        Token::Colon => Ok(key),
        other => Err(expected(lua, scanner, "colon", &other)),
    }
}

fn expected(lua: &Lua, scanner: &Scanner<'_>, wanted: &str, found: &Token) -> mlua::Error {
    let (found, at) = (found.name(), scanner.token_at + 1);
    text(lua, format!("Expected {wanted} but found {found} at character {at}"))
}

impl Scanner<'_> {
    /// The byte at `index`; NUL past the end, as the original reads it.
    fn byte(&self, index: usize) -> u8 {
        self.json.get(index).copied().unwrap_or(0)
    }

    fn next(&mut self) -> Token {
        while matches!(self.byte(self.at), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
        self.token_at = self.at;
        let single = match self.byte(self.at) {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b',' => Token::Comma,
            b':' => Token::Colon,
            // A NUL in the text ends it.
            0 => return Token::End,
            b'"' => return self.scan_string(),
            b'-' | b'0'..=b'9' => {
                if !self.invalid_numbers && self.is_invalid_number() {
                    return Token::Error("invalid number");
                }
                return self.scan_number();
            }
            b'f' | b'i' | b'I' | b'n' | b'N' | b't' | b'+' => return self.scan_word(),
            _ => return Token::Error("invalid token"),
        };
        self.at += 1;
        single
    }

    fn scan_word(&mut self) -> Token {
        let rest = &self.json[self.at..];
        for (word, token) in [
            (&b"true"[..], Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ] {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        if self.invalid_numbers && self.is_invalid_number() {
            return self.scan_number();
        }
        Token::Error("invalid token")
    }

    fn scan_number(&mut self) -> Token {
        match parse_prefix(&self.json[self.at..]) {
            Some((number, len)) => {
                self.at += len;
                Token::Number(number)
            }
            None => Token::Error("invalid number"),
        }
    }

    /// Whether what follows is a number to C but not to JSON.
    fn is_invalid_number(&self) -> bool {
        let mut at = self.at;
        if self.byte(at) == b'+' {
            return true;
        }
        if self.byte(at) == b'-' {
            at += 1;
        }
        match self.byte(at) {
            b'0' => matches!(self.byte(at + 1), b'x' | b'X' | b'0'..=b'9'),
            0..=b'9' => false,
            _ => {
                let word = self.json.get(at..at + 3).unwrap_or_default();
                word.eq_ignore_ascii_case(b"inf") || word.eq_ignore_ascii_case(b"nan")
            }
        }
    }

    fn scan_string(&mut self) -> Token {
        self.string.clear();
        self.at += 1;
        loop {
            match self.byte(self.at) {
                b'"' => break,
                0 => return self.error("unexpected end of string"),
                b'\\' => {
                    let byte = match self.byte(self.at + 1) {
                        byte @ (b'"' | b'\\' | b'/') => byte,
                        b'b' => 0x08,
                        b't' => b'\t',
                        b'n' => b'\n',
                        b'f' => 0x0c,
                        b'r' => b'\r',
                        b'u' => match self.unicode_escape() {
                            Some((character, len)) => {
                                let mut utf8 = [0; 4];
                                let utf8 = character.encode_utf8(&mut utf8);
                                self.string.extend_from_slice(utf8.as_bytes());
                                self.at += len;
                                continue;
                            }
                            None => return self.error("invalid unicode escape code"),
                        },
                        _ => return self.error("invalid escape code"),
                    };
                    self.string.push(byte);
                    self.at += 2;
                }
                byte => {
                    self.string.push(byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        Token::String
    }

    /// The character of `\uXXXX` or of a pair of them, and the bytes it takes.
    fn unicode_escape(&self) -> Option<(char, usize)> {
        let first = self.hex4(self.at + 2)?;
        if first & 0xf800 != 0xd800 {
            return Some((char::from_u32(first)?, 6));
        }
        let is_pair =
            first & 0x400 == 0 && self.byte(self.at + 6) == b'\\' && self.byte(self.at + 7) == b'u';
        let second = if is_pair { self.hex4(self.at + 8)? } else { return None };
        if second & 0xfc00 != 0xdc00 {
            return None;
        }
        let code = ((first & 0x3ff) << 10 | second & 0x3ff) + 0x1_0000;
        Some((char::from_u32(code)?, 12))
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        (at..at + 4).try_fold(0, |value, index| {
            Some(value << 4 | char::from(self.byte(index)).to_digit(16)?)
        })
    }

    fn error(&mut self, problem: &'static str) -> Token {
        self.token_at = self.at;
        Token::Error(problem)
    }
}
