//! What a server says about the commands of the data types: `COMMAND` and `COMMAND DOCS`.

use std::net::SocketAddr;

use hashbrown::HashMap;

use crate::request::Command;
use crate::{Client, ClientError, Value};

/// Groups of commands about data.
const GROUPS: &[&[u8]] = &[
    b"bitmap",
    b"generic",
    b"geo",
    b"hash",
    b"hyperloglog",
    b"list",
    b"set",
    b"sorted-set",
    b"stream",
    b"string",
];

/// The commands about data that a server has, in the order of their names.
#[derive(Debug, Default)]
pub struct Documented {
    pub shapes: Vec<Shape>,
}

/// One command, or one subcommand.
#[derive(Clone, Debug)]
pub struct Shape {
    /// In capitals; that of a subcommand is two words.
    pub name: Command,
    pub group: Vec<u8>,
    /// Words in all, the name among them: exactly so many or, when negative, at least so many.
    pub arity: i64,
    /// Whether it may wait.
    pub is_blocking: bool,
    pub arguments: Vec<Argument>,
}

/// One argument, or several that belong together.
#[derive(Clone, Debug)]
pub struct Argument {
    pub name: String,
    pub kind: Kind,
    /// The word in front of it.
    pub token: Option<Vec<u8>>,
    pub is_optional: bool,
    pub is_multiple: bool,
    /// Its token is repeated with it.
    pub repeats_token: bool,
}

/// What an argument is.
#[derive(Clone, Debug)]
pub enum Kind {
    Key,
    Integer,
    Double,
    Pattern,
    UnixTime,
    Text,
    /// Its token, and nothing else.
    Word,
    OneOf(Vec<Argument>),
    /// All of these.
    Block(Vec<Argument>),
}

impl Documented {
    /// Asks a server.
    pub fn of(address: SocketAddr) -> Result<Self, ClientError> {
        let mut client = Client::connect(address).map_err(ClientError::Io)?;
        let mut infos = HashMap::new();
        for info in client.call(&["COMMAND"])?.elements().unwrap_or_default() {
            read_info(info, &mut infos);
        }
        let docs = client.call(&["COMMAND", "DOCS"])?;
        let mut documented = Self::default();
        for (name, doc) in pairs_of(&docs) {
            documented.read_doc(name, doc, &infos);
        }
        documented.shapes.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(documented)
    }

    fn read_doc(&mut self, name: &[u8], doc: &Value, infos: &HashMap<Vec<u8>, Info>) {
        let group = field(doc, b"group").and_then(Value::text).unwrap_or_default();
        if !GROUPS.contains(&group) {
            return;
        }
        if let Some(subcommands) = field(doc, b"subcommands") {
            return pairs_of(subcommands).for_each(|(name, doc)| self.read_doc(name, doc, infos));
        }
        let Some(info) = infos.get(name) else { return };
        self.shapes.push(Shape {
            name: name.to_ascii_uppercase().split(|byte| *byte == b'|').map(Vec::from).collect(),
            group: group.to_vec(),
            arity: info.arity,
            is_blocking: info.is_blocking,
            arguments: field(doc, b"arguments").map(arguments_of).unwrap_or_default(),
        });
    }
}

/// What `COMMAND` says.
struct Info {
    arity: i64,
    is_blocking: bool,
}

fn read_info(info: &Value, infos: &mut HashMap<Vec<u8>, Info>) {
    let Some([name, arity, flags, .., subcommands]) = info.elements() else { return };
    let (Some(name), Some(arity)) = (name.text(), arity.integer()) else { return };
    let flags = flags.elements().unwrap_or_default();
    // WAIT waits as well, and does not say so.
    let is_blocking = name == b"wait" || flags.iter().any(|it| it.text() == Some(b"blocking"));
    infos.insert(name.to_vec(), Info { arity, is_blocking });
    for info in subcommands.elements().unwrap_or_default() {
        read_info(info, infos);
    }
}

fn arguments_of(list: &Value) -> Vec<Argument> {
    list.elements().unwrap_or_default().iter().filter_map(argument_of).collect()
}

fn argument_of(of: &Value) -> Option<Argument> {
    let text = |name| field(of, name).and_then(Value::text);
    let parts = || field(of, b"arguments").map(arguments_of).unwrap_or_default();
    let flags = field(of, b"flags").and_then(Value::elements).unwrap_or_default();
    let has = |flag: &[u8]| flags.iter().any(|it| it.text() == Some(flag));
    Some(Argument {
        name: String::from_utf8_lossy(text(b"name")?).into_owned(),
        kind: match text(b"type")? {
            b"key" => Kind::Key,
            b"integer" => Kind::Integer,
            b"double" => Kind::Double,
            b"pattern" => Kind::Pattern,
            b"unix-time" => Kind::UnixTime,
            b"pure-token" => Kind::Word,
            b"oneof" => Kind::OneOf(parts()),
            b"block" => Kind::Block(parts()),
            _ => Kind::Text,
        },
        token: text(b"token").map(<[u8]>::to_vec),
        is_optional: has(b"optional"),
        is_multiple: has(b"multiple"),
        repeats_token: has(b"multiple_token"),
    })
}

/// Names and what belongs to each, out of an array in which they take turns.
fn pairs_of(list: &Value) -> impl Iterator<Item = (&[u8], &Value)> {
    let pairs = list.elements().unwrap_or_default().chunks_exact(2);
    pairs.filter_map(|pair| Some((pair[0].text()?, &pair[1])))
}

fn field<'a>(of: &'a Value, name: &[u8]) -> Option<&'a Value> {
    pairs_of(of).find(|(found, _)| *found == name).map(|(_, value)| value)
}
