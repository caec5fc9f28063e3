//! Transcripts: what a command must answer, written as data and run against real servers.
//!
//! A transcript is a text file of cases; a case starts with all databases empty and new connections.
//!
//! ```text
//! # A comment.
//! == SET stores, GET reads
//! > SET key "a value\r\n"
//! +OK
//! > GET key
//! "a value\r\n"
//! ```
//!
//! # Lines that send
//!
//! | line | meaning |
//! |---|---|
//! | `> WORD ...` | a command, as multibulk |
//! | `>> "bytes" ...` | these bytes, as they are |
//! | `b> WORD ...`, `b>> ...` | the same over another connection, opened at its first use |
//! | `b<` | sends nothing; the replies below come by themselves |
//!
//! A comment is a line that begins with `# `. A word is bare, or quoted with the escapes `\r \n \t \" \\ \xNN`; `"ab"*3` is `ababab`; pieces
//! without a space in between are one word. `$name` is a value bound by an earlier reply.
//! `repeat(1..3: k# v#)` stands for `k1 v1 k2 v2 k3 v3`, in commands and in replies.
//!
//! # Lines that expect
//!
//! One reply a command unless more are written; `closed` when the server closes the connection,
//! `nothing` when no reply comes, `<< "bytes"` for exact bytes. A reply is a pattern:
//!
//! | pattern | RESP3 | RESP2 |
//! |---|---|---|
//! | `+OK`, `+"two words"`, `+/regex/` | simple string | same |
//! | `-ERR text` to the end of the line, `-"ERR text "`, `-/regex/` | error | same |
//! | `5`, `-5`, `1..10`, `int` | integer; in a range; any | same |
//! | `"text"`, `/regex/` (the whole text), `bulk` | bulk | same |
//! | `nil`, `nil-array` | null | null bulk, null array |
//! | `[a b]`, `unordered[a b]`, `contains[a]` | array; in any order; at least these | same |
//! | `{k: v}`, `unordered{..}`, `contains{..}` | map | array of keys and values |
//! | `set[a b]` | set, in any order | array, in any order |
//! | `,1.5` | double | bulk |
//! | `true`, `false` | boolean | 1, 0 |
//! | `(123` | big number | bulk |
//! | `txt"..."`, `txt/../`, `mkd..` | verbatim text | bulk |
//! | `push[..]` | push | array |
//! | `attribute{k: v} pattern` | attribute, value | the value |
//! | `any`, `$name`, `$name:pattern` | anything; what was bound; binds | same |
//!
//! A pattern may go over several lines while a bracket is open. A label before a pattern limits it:
//! `resp2:`, `resp3:`, and servers: `darter:`, `redis:`, `valkey:`, `redis>=8:`, several separated by
//! spaces. Lines whose label does not fit are left out.
//!
//! # Directives
//!
//! | line | place | meaning |
//! |---|---|---|
//! | `@server-options --name value` | top of file | this file gets a server of its own with these |
//! | `@fresh-connections` | top of file | no `HELLO 3` first: the file switches protocols itself |
//! | `@oracle redis>=8.4 valkey>=9.1` | top of file, of case | which peers can answer this; `none` |
//! | `@not-pipelined reason` | top of case | the replies depend on being sent one by one |
//! | `@differs reason` | before a command | required where a label names a server |
//! | `@eventually` | before a command | repeated until the reply fits |
//! | `@iterate` | before a command | `$cursor` starts as 0 and follows the replies until it is 0 again; the pattern is matched against all elements together, each once |
//! | `@elapse 5ms` | between commands | time passes: the input, not a synchronisation |
//! | `@close b` | between commands | the client closes a connection |
//! | `@repeat 1..3` .. `@end` | around steps | the lines between, once for each number, `#` being it |
//!
//! Read [`model`], then [`run`].

pub mod corpus;
pub mod model;
mod notation;
pub mod parse;
pub mod pattern;
pub mod record;
pub mod run;
