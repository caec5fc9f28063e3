//! Patterns for replies: parsing and matching. The notation is described in [`super`].

use std::collections::BTreeMap;

use regex::bytes::Regex;

use super::notation::{Cursor, Mistake, parse_range};
use crate::{Protocol, Value};

/// Values bound by `$name:pattern`.
pub type Bindings = BTreeMap<String, Value>;

#[derive(Debug)]
pub enum Pattern {
    Any,
    Simple(Text),
    Error(Text),
    Integer { least: i64, most: i64 },
    Text(Text),
    Nil,
    NilArray,
    Array(Order, Vec<Pattern>),
    Map(Order, Vec<(Pattern, Pattern)>),
    Set(Vec<Pattern>),
    Push(Vec<Pattern>),
    Double(Vec<u8>),
    Boolean(bool),
    BigNumber(Vec<u8>),
    Verbatim([u8; 3], Text),
    Attribute(Vec<(Pattern, Pattern)>, Box<Pattern>),
    Bind(String, Box<Pattern>),
    Bound(String),
}

/// A byte string, or what it has to look like.
#[derive(Debug)]
pub enum Text {
    Exactly(Vec<u8>),
    Like(Regex),
    Any,
}

/// How the elements of a collection are matched. Other than `AsWritten`, each pattern takes the
/// first element left that it fits, without going back: put the more specific pattern first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    AsWritten,
    AnyOrder,
    /// There may be more elements than patterns.
    AtLeast,
}

/// Why a text is no pattern.
#[derive(Debug)]
pub enum PatternError {
    /// A bracket is still open: more lines belong to it.
    Incomplete,
    Mistake(Mistake),
}

impl From<Mistake> for PatternError {
    fn from(mistake: Mistake) -> Self {
        Self::Mistake(mistake)
    }
}

impl From<&str> for PatternError {
    fn from(mistake: &str) -> Self {
        Self::Mistake(mistake.to_owned())
    }
}

/// Parses one pattern that takes up the whole text.
pub fn parse(text: &str) -> Result<Pattern, PatternError> {
    let mut cursor = Cursor::new(text);
    cursor.skip_spaces();
    // Only at the top may an error stand without quotes: there it ends with its line.
    let unquoted = text.strip_prefix('-').filter(|rest| rest.starts_with(char::is_alphabetic));
    if let Some(error) = unquoted {
        return Ok(Pattern::Error(Text::Exactly(error.trim_end().as_bytes().to_vec())));
    }
    let pattern = pattern(&mut cursor)?;
    cursor.skip_spaces();
    if cursor.peek().is_some() { Err("more text after a pattern".into()) } else { Ok(pattern) }
}

fn pattern(cursor: &mut Cursor<'_>) -> Result<Pattern, PatternError> {
    let parsed = match cursor.peek().ok_or(PatternError::Incomplete)? {
        b'+' => {
            cursor.next();
            Pattern::Simple(text(cursor)?)
        }
        b'-' if cursor.peek_second().is_some_and(|byte| b"\"/".contains(&byte)) => {
            cursor.next();
            Pattern::Error(text(cursor)?)
        }
        b'-' | b'0'..=b'9' => number(cursor)?,
        b'"' => Pattern::Text(Text::Exactly(cursor.quoted()?)),
        b'/' => Pattern::Text(regex(cursor)?),
        b',' => {
            cursor.next();
            Pattern::Double(word_or_quoted(cursor)?)
        }
        b'(' => {
            cursor.next();
            Pattern::BigNumber(word_or_quoted(cursor)?)
        }
        b'[' => Pattern::Array(Order::AsWritten, items(cursor)?),
        b'{' => Pattern::Map(Order::AsWritten, pairs(cursor)?),
        b'$' => return binding(cursor),
        byte if byte.is_ascii_alphabetic() => named(cursor)?,
        _ => return Err("not a pattern".into()),
    };
    if cursor.at_delimiter() { Ok(parsed) } else { Err("no space after a pattern".into()) }
}

fn word_or_quoted(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, PatternError> {
    if cursor.peek() == Some(b'"') {
        return Ok(cursor.quoted()?);
    }
    let word = cursor.take_while(|byte| byte.is_ascii_graphic() && !b"[]{}:\"".contains(&byte));
    if word.is_empty() { Err("a text must follow".into()) } else { Ok(word.as_bytes().to_vec()) }
}

fn text(cursor: &mut Cursor<'_>) -> Result<Text, PatternError> {
    if cursor.peek() == Some(b'/') {
        regex(cursor)
    } else {
        word_or_quoted(cursor).map(Text::Exactly)
    }
}

fn number(cursor: &mut Cursor<'_>) -> Result<Pattern, PatternError> {
    let word = cursor.take_while(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
    let (least, most) = match word.parse() {
        Ok(number) => (number, number),
        Err(_) => parse_range(word).ok_or("not a number or range")?,
    };
    Ok(Pattern::Integer { least, most })
}

fn regex(cursor: &mut Cursor<'_>) -> Result<Text, PatternError> {
    cursor.next();
    let mut source = String::new();
    loop {
        source.push_str(cursor.take_while(|byte| !b"/\\".contains(&byte)));
        match (cursor.next(), cursor.peek()) {
            (Some(b'/'), _) => break,
            (Some(b'\\'), Some(b'/')) => source.push('/'),
            (Some(b'\\'), Some(other)) => source.extend(['\\', char::from(other)]),
            _ => return Err("a regular expression is not closed".into()),
        }
        cursor.next();
    }
    Regex::new(&format!("(?s-u)^(?:{source})$"))
        .map(Text::Like)
        .map_err(|error| PatternError::Mistake(error.to_string()))
}

fn items(cursor: &mut Cursor<'_>) -> Result<Vec<Pattern>, PatternError> {
    if !cursor.eat("[") {
        return Err("an array must follow".into());
    }
    let mut items = Vec::new();
    loop {
        cursor.skip_spaces();
        if cursor.eat("]") {
            return Ok(items);
        }
        items.push(pattern(cursor)?);
    }
}

fn pairs(cursor: &mut Cursor<'_>) -> Result<Vec<(Pattern, Pattern)>, PatternError> {
    if !cursor.eat("{") {
        return Err("a map must follow".into());
    }
    let mut pairs = Vec::new();
    loop {
        cursor.skip_spaces();
        if cursor.eat("}") {
            return Ok(pairs);
        }
        let key = pattern(cursor)?;
        if !cursor.eat(":") {
            return Err("a colon must follow the key of a map".into());
        }
        cursor.skip_spaces();
        pairs.push((key, pattern(cursor)?));
    }
}

fn binding(cursor: &mut Cursor<'_>) -> Result<Pattern, PatternError> {
    cursor.next();
    let name = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'_').to_owned();
    if name.is_empty() {
        return Err("a name must follow the dollar sign".into());
    }
    if cursor.eat(":") {
        Ok(Pattern::Bind(name, Box::new(pattern(cursor)?)))
    } else {
        Ok(Pattern::Bound(name))
    }
}

fn named(cursor: &mut Cursor<'_>) -> Result<Pattern, PatternError> {
    let name = cursor.take_while(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Ok(match name {
        "any" => Pattern::Any,
        "int" => Pattern::Integer { least: i64::MIN, most: i64::MAX },
        "bulk" => Pattern::Text(Text::Any),
        "nil" => Pattern::Nil,
        "nil-array" => Pattern::NilArray,
        "true" => Pattern::Boolean(true),
        "false" => Pattern::Boolean(false),
        "set" => Pattern::Set(items(cursor)?),
        "push" => Pattern::Push(items(cursor)?),
        "unordered" | "contains" => {
            let order = if name == "contains" { Order::AtLeast } else { Order::AnyOrder };
            if cursor.peek() == Some(b'{') {
                Pattern::Map(order, pairs(cursor)?)
            } else {
                Pattern::Array(order, items(cursor)?)
            }
        }
        "attribute" => {
            let attributes = pairs(cursor)?;
            cursor.skip_spaces();
            Pattern::Attribute(attributes, Box::new(pattern(cursor)?))
        }
        "txt" => Pattern::Verbatim(*b"txt", verbatim_text(cursor)?),
        "mkd" => Pattern::Verbatim(*b"mkd", verbatim_text(cursor)?),
        _ => return Err(PatternError::Mistake(format!("unknown pattern \"{name}\""))),
    })
}

fn verbatim_text(cursor: &mut Cursor<'_>) -> Result<Text, PatternError> {
    match cursor.peek() {
        Some(b'"') => Ok(Text::Exactly(cursor.quoted()?)),
        Some(b'/') => regex(cursor),
        _ => Err("a string or /regex/ must follow txt or mkd".into()),
    }
}

impl Text {
    fn matches(&self, text: &[u8]) -> bool {
        match self {
            Self::Exactly(expected) => expected == text,
            Self::Like(regex) => regex.is_match(text),
            Self::Any => true,
        }
    }
}

impl Pattern {
    /// Whether the value has exactly this shape over this protocol; may bind names on the way.
    pub fn matches(&self, value: &Value, protocol: Protocol, bindings: &mut Bindings) -> bool {
        use Protocol::{Resp2, Resp3};
        match (self, value, protocol) {
            (Self::Any, _, _)
            | (Self::Nil | Self::NilArray, Value::Null, Resp3)
            | (Self::Nil, Value::NullBulk, Resp2)
            | (Self::NilArray, Value::NullArray, Resp2) => true,
            (Self::Bind(name, pattern), _, _) => {
                let fits = pattern.matches(value, protocol, bindings);
                if fits {
                    bindings.insert(name.clone(), value.clone());
                }
                fits
            }
            (Self::Bound(name), _, _) => bindings.get(name) == Some(value),
            (Self::Double(expected), Value::Double(text), Resp3)
            | (Self::BigNumber(expected), Value::BigNumber(text), Resp3)
            | (Self::Double(expected) | Self::BigNumber(expected), Value::Bulk(text), Resp2) => {
                expected == text
            }
            (Self::Integer { least, most }, Value::Integer(number), _) => {
                (*least..=*most).contains(number)
            }
            (Self::Simple(expected), Value::Simple(text), _)
            | (Self::Error(expected), Value::Error(text), _)
            | (Self::Text(expected), Value::Bulk(text), _)
            | (Self::Verbatim(_, expected), Value::Bulk(text), Resp2) => expected.matches(text),
            (Self::Verbatim(wanted, expected), Value::Verbatim { format, text }, Resp3) => {
                wanted == format && expected.matches(text)
            }
            (Self::Boolean(wanted), Value::Boolean(value), Resp3) => wanted == value,
            (Self::Boolean(wanted), Value::Integer(number), Resp2) => i64::from(*wanted) == *number,
            (Self::Array(order, patterns), Value::Array(items), _) => {
                match_items(*order, patterns, items, protocol, bindings)
            }
            (Self::Set(patterns), Value::Set(items), Resp3)
            | (Self::Set(patterns), Value::Array(items), Resp2) => {
                match_items(Order::AnyOrder, patterns, items, protocol, bindings)
            }
            (Self::Push(patterns), Value::Push(items), Resp3)
            | (Self::Push(patterns), Value::Array(items), Resp2) => {
                match_items(Order::AsWritten, patterns, items, protocol, bindings)
            }
            (Self::Map(order, patterns), Value::Map(pairs), Resp3) => {
                match_pairs(*order, patterns, pairs, protocol, bindings)
            }
            (Self::Map(order, patterns), Value::Array(items), Resp2) => pairs_of(items)
                .is_some_and(|pairs| match_pairs(*order, patterns, &pairs, protocol, bindings)),
            (Self::Attribute(patterns, inner), Value::Attribute { attributes, value }, Resp3) => {
                match_pairs(Order::AsWritten, patterns, attributes, protocol, bindings)
                    && inner.matches(value, protocol, bindings)
            }
            (Self::Attribute(_, inner), value, Resp2) => inner.matches(value, protocol, bindings),
            _ => false,
        }
    }
}

/// A flat array of keys and values as pairs.
fn pairs_of(items: &[Value]) -> Option<Vec<(Value, Value)>> {
    let pairs = items.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    Some(pairs.map(|pair| (pair[0].clone(), pair[1].clone())).collect())
}

fn match_items(
    order: Order,
    patterns: &[Pattern],
    items: &[Value],
    protocol: Protocol,
    bindings: &mut Bindings,
) -> bool {
    match_all(order, patterns, items, |pattern, item| pattern.matches(item, protocol, bindings))
}

fn match_pairs(
    order: Order,
    patterns: &[(Pattern, Pattern)],
    pairs: &[(Value, Value)],
    protocol: Protocol,
    bindings: &mut Bindings,
) -> bool {
    match_all(order, patterns, pairs, |(key_pattern, value_pattern), (key, value)| {
        key_pattern.matches(key, protocol, bindings)
            && value_pattern.matches(value, protocol, bindings)
    })
}

fn match_all<P, V>(
    order: Order,
    patterns: &[P],
    values: &[V],
    mut fits: impl FnMut(&P, &V) -> bool,
) -> bool {
    if order != Order::AtLeast && patterns.len() != values.len() {
        return false;
    }
    if order == Order::AsWritten {
        return patterns.iter().zip(values).all(|(pattern, value)| fits(pattern, value));
    }
    let mut left: Vec<&V> = values.iter().collect();
    patterns.iter().all(|pattern| {
        let found = left.iter().position(|value| fits(pattern, value));
        found.map(|index| left.remove(index)).is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply;

    #[track_caller]
    fn check(text: &str, protocol: Protocol, wire: &str, expected: bool) {
        let pattern = parse(text).unwrap();
        let (value, _) = reply::parse(wire.as_bytes()).unwrap().unwrap();
        let fits = pattern.matches(&value, protocol, &mut Bindings::new());
        assert_eq!(fits, expected, "{text} against {wire:?}");
    }

    #[track_caller]
    fn both(text: &str, resp2: &str, resp3: &str) {
        check(text, Protocol::Resp2, resp2, true);
        check(text, Protocol::Resp3, resp3, true);
        if resp2 != resp3 {
            check(text, Protocol::Resp2, resp3, false);
            check(text, Protocol::Resp3, resp2, false);
        }
    }

    #[test]
    fn patterns_know_both_protocols() {
        both("+OK", "+OK\r\n", "+OK\r\n");
        both("-ERR a \"b\" c", "-ERR a \"b\" c\r\n", "-ERR a \"b\" c\r\n");
        both("-\"ERR a \"", "-ERR a \r\n", "-ERR a \r\n");
        both("-/ERR .*/", "-ERR a b\r\n", "-ERR a b\r\n");
        both("+/a+/", "+aaa\r\n", "+aaa\r\n");
        both("-7", ":-7\r\n", ":-7\r\n");
        both("\"a\\r\\n\"", "$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n");
        both("nil", "$-1\r\n", "_\r\n");
        both("nil-array", "*-1\r\n", "_\r\n");
        both("{\"a\": 1}", "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n");
        both("set[1 2]", "*2\r\n:2\r\n:1\r\n", "~2\r\n:2\r\n:1\r\n");
        both(",1.5", "$3\r\n1.5\r\n", ",1.5\r\n");
        both("true", ":1\r\n", "#t\r\n");
        both("(12", "$2\r\n12\r\n", "(12\r\n");
        both("txt\"x\"", "$1\r\nx\r\n", "=5\r\ntxt:x\r\n");
        both("push[1]", "*1\r\n:1\r\n", ">1\r\n:1\r\n");
        both("attribute{\"a\": 1} 2", ":2\r\n", "|1\r\n$1\r\na\r\n:1\r\n:2\r\n");
    }

    #[test]
    fn loose_patterns_are_as_loose_as_they_say() {
        for (text, wire, expected) in [
            ("1..3", ":3\r\n", true),
            ("1..3", ":4\r\n", false),
            ("-2..-1", ":-1\r\n", true),
            ("int", "$1\r\n1\r\n", false),
            ("/a+/", "$2\r\naa\r\n", true),
            ("/a+/", "$3\r\naab\r\n", false),
            ("/a\\/b/", "$3\r\na/b\r\n", true),
            ("unordered[1 2]", "*2\r\n:2\r\n:1\r\n", true),
            ("unordered[1 2]", "*3\r\n:2\r\n:1\r\n:1\r\n", false),
            ("contains[2]", "*2\r\n:2\r\n:1\r\n", true),
            ("contains[2 2]", "*2\r\n:2\r\n:1\r\n", false),
            ("[$x:int $x]", "*2\r\n:2\r\n:2\r\n", true),
            ("[$x:int $x]", "*2\r\n:2\r\n:1\r\n", false),
            ("[any any]", "*2\r\n:2\r\n+x\r\n", true),
            ("+O", "+OK\r\n", false),
            ("\"1\"", ":1\r\n", false),
        ] {
            check(text, Protocol::Resp2, wire, expected);
        }
    }

    #[test]
    fn an_open_bracket_asks_for_more_lines() {
        for text in ["[1 2", "{\"a\": ", "[1 {", "unordered["] {
            assert!(matches!(parse(text), Err(PatternError::Incomplete)), "{text}");
        }
        for text in ["]", "[1]]", "[1}", "{1 2}", "\"a", "/a", "1x", "nope", "1..x", "[+]"] {
            assert!(matches!(parse(text), Err(PatternError::Mistake(_))), "{text}");
        }
    }
}
