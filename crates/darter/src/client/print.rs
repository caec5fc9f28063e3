//! Replies as `redis-cli` prints them: for people (`1) "a"`) or raw, for programs.
//!
//! The parser bounds how deep values nest, and so the recursion here.

use darter_base::float::format_f64;
use darter_base::split_args::append_quoted;
use darter_resp::reply::Reply;

/// The text of a reply for programs, with its final line break.
pub(crate) fn raw(reply: &Reply) -> Vec<u8> {
    let mut text = Vec::new();
    append_raw(reply, &mut text);
    text.push(b'\n');
    text
}

fn append_raw(reply: &Reply, text: &mut Vec<u8>) {
    match reply {
        Reply::Null | Reply::NullArray => {}
        Reply::Error(line) => {
            text.extend_from_slice(line);
            text.push(b'\n');
        }
        Reply::Simple(bytes)
        | Reply::Bulk(bytes)
        | Reply::BigNumber(bytes)
        | Reply::Verbatim(_, bytes) => text.extend_from_slice(bytes),
        Reply::Integer(number) => text.extend_from_slice(number.to_string().as_bytes()),
        Reply::Double(number) => text.extend_from_slice(format_f64(*number).as_bytes()),
        Reply::Boolean(is_true) => text.extend_from_slice(word_of(*is_true)),
        Reply::Array(items) | Reply::Set(items) | Reply::Push(items) => {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(b'\n');
                }
                append_raw(item, text);
            }
        }
        Reply::Map(pairs) => {
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    text.push(b'\n');
                }
                append_raw(key, text);
                text.push(b' ');
                append_raw(value, text);
            }
        }
        Reply::Attributed(_, reply) => append_raw(reply, text),
    }
}

const fn word_of(is_true: bool) -> &'static [u8] {
    if is_true { b"(true)" } else { b"(false)" }
}

/// The text of a reply for people, with its final line break.
pub(crate) fn formatted(reply: &Reply) -> Vec<u8> {
    let mut text = Vec::new();
    append_formatted(reply, 0, &mut text);
    text
}

/// Appends a reply whose first line begins `indent` columns from the left, which stand there
/// already.
fn append_formatted(reply: &Reply, indent: usize, text: &mut Vec<u8>) {
    match reply {
        Reply::Null | Reply::NullArray => text.extend_from_slice(b"(nil)"),
        Reply::Error(line) => {
            text.extend_from_slice(b"(error) ");
            text.extend_from_slice(line);
        }
        Reply::Simple(line) => text.extend_from_slice(line),
        Reply::Integer(number) => text.extend_from_slice(format!("(integer) {number}").as_bytes()),
        Reply::Double(number) => {
            text.extend_from_slice(b"(double) ");
            text.extend_from_slice(format_f64(*number).as_bytes());
        }
        Reply::Boolean(is_true) => text.extend_from_slice(word_of(*is_true)),
        Reply::Bulk(bytes) => append_quoted(text, bytes),
        Reply::BigNumber(bytes) | Reply::Verbatim(_, bytes) => text.extend_from_slice(bytes),
        Reply::Array(items) => return append_items(items, b')', "(empty array)", indent, text),
        Reply::Set(items) => return append_items(items, b'~', "(empty set)", indent, text),
        Reply::Push(items) => return append_items(items, b')', "(empty push)", indent, text),
        Reply::Map(pairs) => return append_pairs(pairs, indent, text),
        Reply::Attributed(_, reply) => return append_formatted(reply, indent, text),
    }
    text.push(b'\n');
}

fn append_items(items: &[Reply], sign: u8, empty: &str, indent: usize, text: &mut Vec<u8>) {
    if items.is_empty() {
        text.extend_from_slice(empty.as_bytes());
        text.push(b'\n');
        return;
    }
    let width = digits(items.len());
    for (index, item) in items.iter().enumerate() {
        append_number(index, width, sign, indent, text);
        append_formatted(item, indent + width + 2, text);
    }
}

fn append_pairs(pairs: &[(Reply, Reply)], indent: usize, text: &mut Vec<u8>) {
    if pairs.is_empty() {
        text.extend_from_slice(b"(empty hash)\n");
        return;
    }
    let width = digits(pairs.len());
    let inner = indent + width + 2;
    for (index, (key, value)) in pairs.iter().enumerate() {
        append_number(index, width, b'#', indent, text);
        append_formatted(key, inner, text);
        // The value stands behind its key if it fits the line, below it otherwise.
        text.pop();
        text.extend_from_slice(b" => ");
        let begin = text.len();
        append_formatted(value, inner, text);
        let is_container =
            matches!(value, Reply::Array(_) | Reply::Set(_) | Reply::Map(_) | Reply::Push(_));
        let is_long = text[begin..text.len() - 1].contains(&b'\n');
        if is_container && is_long {
            let below: Vec<u8> =
                std::iter::once(b'\n').chain(std::iter::repeat_n(b' ', inner)).collect();
            text.splice(begin..begin, below);
        }
    }
}

fn append_number(index: usize, width: usize, sign: u8, indent: usize, text: &mut Vec<u8>) {
    if index > 0 {
        text.extend(std::iter::repeat_n(b' ', indent));
    }
    text.extend_from_slice(format!("{:>width$}{} ", index + 1, char::from(sign)).as_bytes());
}

fn digits(count: usize) -> usize {
    count.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.as_bytes().to_vec())
    }

    fn shown(reply: &Reply) -> (String, String) {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(formatted(reply)), text(raw(reply)))
    }

    fn check(reply: &Reply, expected_formatted: &str, expected_raw: &str) {
        assert_eq!(shown(reply), (expected_formatted.to_owned(), expected_raw.to_owned()));
    }

    // What redis-cli 7.0.15 printed for the same replies.
    #[test]
    fn single_values_are_printed_as_by_redis_cli() {
        check(&Reply::Simple(b"PONG".to_vec()), "PONG\n", "PONG\n");
        check(&bulk("a\"\n"), "\"a\\\"\\n\"\n", "a\"\n\n");
        check(&Reply::Null, "(nil)\n", "\n");
        check(&Reply::Integer(-1), "(integer) -1\n", "-1\n");
        check(&Reply::Double(2.5), "(double) 2.5\n", "2.5\n");
        check(&Reply::Boolean(true), "(true)\n", "(true)\n");
        check(&Reply::Error(b"ERR no".to_vec()), "(error) ERR no\n", "ERR no\n\n");
        check(&Reply::Verbatim(*b"txt", b"a\nb".to_vec()), "a\nb\n", "a\nb\n");
        check(&Reply::Array(vec![]), "(empty array)\n", "\n");
        check(&Reply::Map(vec![]), "(empty hash)\n", "\n");
        check(&Reply::Set(vec![]), "(empty set)\n", "\n");
    }

    #[test]
    fn nested_values_are_printed_as_by_redis_cli() {
        let ten = Reply::Array((0..10).map(Reply::Integer).collect());
        assert!(shown(&ten).0.starts_with(" 1) (integer) 0\n 2) (integer) 1\n"));
        let nested = Reply::Array(vec![
            bulk("a"),
            Reply::Array(vec![bulk("b"), Reply::Set(vec![bulk("c"), bulk("d")])]),
        ]);
        check(&nested, "1) \"a\"\n2) 1) \"b\"\n   2) 1~ \"c\"\n      2~ \"d\"\n", "a\nb\nc\nd\n");
        let map = Reply::Map(vec![
            (bulk("flags"), Reply::Set(vec![bulk("off")])),
            (bulk("redirect"), Reply::Integer(-1)),
            (bulk("spec"), Reply::Array(vec![bulk("x"), bulk("y")])),
        ]);
        check(
            &map,
            "1# \"flags\" => 1~ \"off\"\n2# \"redirect\" => (integer) -1\n\
             3# \"spec\" => \n   1) \"x\"\n   2) \"y\"\n",
            "flags off\nredirect -1\nspec x\ny\n",
        );
    }
}
