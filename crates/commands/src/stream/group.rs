//! XGROUP.

use super::id;
use super::sources::no_group_in;
use crate::reply::write_help;
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group as CommandGroup, Handler, KeySpec,
    ReplyError, ReplyResult, ShardView,
};
use darter_shard::{Edit, Interest, Key, Keyspace};
use darter_value::stream::{Group, Stream, StreamId};

/// Consumer groups.
pub(super) static XGROUP: Command = Command {
    name: "XGROUP",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Commands about consumer groups.",
    complexity: "Depends on the subcommand.",
    arity: Arity::AtLeast(2),
    subcommands: &[&CREATE, &CREATECONSUMER, &DELCONSUMER, &DESTROY, &HELP, &SETID],
    ..Command::BASE
};

const ID_ARG: Arg = Arg::one_of("id-selector", &[Arg::string("id"), Arg::word("new-id", "$")]);
const ENTRIES_READ_ARG: Arg = Arg::integer("entriesread")
    .shown("entries-read")
    .token("ENTRIESREAD")
    .since("7.0.0")
    .optional();

static CREATE: Command = Command {
    name: "CREATE",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Adds a consumer group to a stream, to read from an id on.",
    complexity: "O(log(G)) with G groups.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STREAM,
    keys: &[KeySpec::at(2, Access::READ_WRITE.and(Access::INSERT))],
    args: &[
        Arg::key("key"),
        Arg::string("group"),
        ID_ARG,
        Arg::word("mkstream", "MKSTREAM").optional(),
        ENTRIES_READ_ARG,
    ],
    history: &[("7.0.0", "`ENTRIESREAD`.")],
    handler: Handler::Keyed(create),
    ..Command::BASE
};

static CREATECONSUMER: Command = Command {
    name: "CREATECONSUMER",
    group: CommandGroup::Stream,
    since: "6.2.0",
    summary: "Adds a consumer to a group.",
    complexity: "O(log(C)) with C consumers.",
    arity: Arity::Exactly(5),
    flags: Flags::WRITE.and(Flags::DENYOOM),
    acl: Category::STREAM,
    keys: &[KeySpec::at(2, Access::READ_WRITE.and(Access::INSERT))],
    args: &[Arg::key("key"), Arg::string("group"), Arg::string("consumer")],
    handler: Handler::Keyed(create_consumer),
    ..Command::BASE
};

static DELCONSUMER: Command = Command {
    name: "DELCONSUMER",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Removes a consumer from a group, with what is pending with it; answers how much that \
              was.",
    complexity: "O(M log(P)) for M entries pending with it, P with the group.",
    arity: Arity::Exactly(5),
    flags: Flags::WRITE,
    acl: Category::STREAM,
    keys: &[KeySpec::at(2, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::string("group"), Arg::string("consumer")],
    handler: Handler::Keyed(delete_consumer),
    ..Command::BASE
};

static DESTROY: Command = Command {
    name: "DESTROY",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Removes a consumer group from a stream.",
    complexity: "O(P) for P pending entries.",
    arity: Arity::Exactly(4),
    flags: Flags::WRITE,
    acl: Category::STREAM,
    keys: &[KeySpec::at(2, Access::READ_WRITE.and(Access::DELETE))],
    args: &[Arg::key("key"), Arg::string("group")],
    handler: Handler::Keyed(destroy),
    ..Command::BASE
};

static SETID: Command = Command {
    name: "SETID",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Sets up to which id a consumer group has read.",
    complexity: "O(log(G)) with G groups.",
    arity: Arity::AtLeast(5),
    flags: Flags::WRITE,
    acl: Category::STREAM,
    keys: &[KeySpec::at(2, Access::READ_WRITE.and(Access::UPDATE))],
    args: &[Arg::key("key"), Arg::string("group"), ID_ARG, ENTRIES_READ_ARG],
    history: &[("7.0.0", "`ENTRIESREAD`.")],
    handler: Handler::Keyed(set_id),
    ..Command::BASE
};

static HELP: Command = Command {
    name: "HELP",
    group: CommandGroup::Stream,
    since: "5.0.0",
    summary: "Lines about the subcommands.",
    complexity: "O(1)",
    arity: Arity::Exactly(2),
    flags: Flags::LOADING.and(Flags::STALE),
    acl: Category::STREAM,
    handler: Handler::Keyed(help),
    ..Command::BASE
};

/// The options behind the id.
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    make_stream: bool,
    entries_read: Option<u64>,
}

impl Options {
    fn parse(call: &Call<'_>, for_create: bool) -> Result<Self, ReplyError> {
        let mut options = Self::default();
        let mut index = 5;
        while index < call.args.len() {
            if for_create && call.is_word(index, "MKSTREAM") {
                options.make_stream = true;
            } else if call.is_word(index, "ENTRIESREAD") && index + 1 < call.args.len() {
                index += 1;
                options.entries_read = match call.integer(index)? {
                    -1 => None,
                    read => Some(u64::try_from(read).map_err(|_| {
                        ReplyError::Text("ERR value for ENTRIESREAD must be positive or -1")
                    })?),
                };
            } else {
                return Err(subcommand_syntax(call));
            }
            index += 1;
        }
        Ok(options)
    }
}

/// The error about arguments a subcommand does not have.
pub(super) fn subcommand_syntax(call: &Call<'_>) -> ReplyError {
    let name = darter_command_table::until_nul(call.args.at(1));
    let container = call.args.at(0).to_ascii_uppercase();
    ReplyError::Line(
        [
            b"ERR unknown subcommand or wrong number of arguments for '".as_slice(),
            &name[..name.len().min(128)],
            b"'. Try ",
            &container,
            b" HELP.",
        ]
        .concat(),
    )
}

const NO_STREAM: ReplyError = ReplyError::Text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use \
     the MKSTREAM option to create an empty stream automatically.",
);

/// Notes that a command is about to add a consumer to a group, if there is none of the name.
pub(super) fn note_consumer(
    keyspace: &mut Keyspace<'_>,
    key: &Key<'_>,
    group_name: &[u8],
    consumer_name: &[u8],
) {
    if !keyspace.is_observed() {
        return;
    }
    let stream = keyspace.peek_collection::<Stream>(key).ok().flatten();
    let group = stream.and_then(|stream| stream.group(group_name));
    if group.is_some_and(|group| group.consumer_number(consumer_name).is_none()) {
        keyspace.note(Interest::STREAM, "xgroup-createconsumer", key);
    }
}

/// Changes the group that the arguments 2 and 3 name; `None` if there is none.
fn edit_group<R>(
    call: &Call<'_>,
    view: &mut ShardView<'_>,
    event: &'static str,
    edit: impl FnOnce(&mut Stream, &[u8]) -> Edit<R>,
) -> Result<R, ReplyError> {
    let key = call.key(2);
    let name = call.args.at(3);
    let mut keyspace = call.keyspace(view, &key);
    let Some(stream) = keyspace.peek_collection::<Stream>(&key)? else { return Err(NO_STREAM) };
    if stream.group(name).is_none() {
        return Err(no_group_in(key.bytes, name));
    }
    let edited = keyspace
        .tell(Interest::STREAM, event)
        .edit(&key, |stream: &mut Stream| edit(stream, name))?;
    edited.ok_or(NO_STREAM)
}

fn create(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call, true)?;
    let key = call.key(2);
    let name = call.args.at(3);
    let mut keyspace = call.keyspace(view, &key);
    let stream = keyspace.peek_collection::<Stream>(&key)?;
    if stream.is_none() && !options.make_stream {
        return Err(NO_STREAM);
    }
    let last_id = match call.args.at(4) {
        b"$" => stream.map_or(StreamId::MIN, |stream| stream.log().last_id()),
        text => id::parse(text, 0)?,
    };
    if stream.is_some_and(|stream| stream.group(name).is_some()) {
        return Err(ReplyError::Text("BUSYGROUP Consumer Group name already exists"));
    }
    keyspace.tell(Interest::STREAM, "xgroup-create");
    keyspace.edit_or_create(&key, |stream: &mut Stream| {
        stream.add_group(name, Group::new(last_id, options.entries_read));
        Edit::changed(())
    })?;
    call.reply.ok();
    Ok(())
}

fn set_id(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let options = Options::parse(call, false)?;
    let text = call.args.at(4);
    let given = match text {
        b"$" => None,
        text => Some(id::parse_or_edge(text, 0)),
    };
    edit_group(call, view, "xgroup-setid", |stream, name| {
        let last_id = stream.log().last_id();
        let id = match given {
            None => last_id,
            Some(Ok(id)) => id,
            Some(Err(error)) => return Edit::unchanged(Err(error)),
        };
        stream.edit_group(name, |group, _| {
            group.last_id = id;
            group.entries_read = options.entries_read;
        });
        Edit::changed(Ok(()))
    })??;
    call.reply.ok();
    Ok(())
}

fn destroy(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let key = call.key(2);
    let name = call.args.at(3);
    let mut keyspace = call.keyspace(view, &key);
    let destroyed =
        keyspace.tell(Interest::STREAM, "xgroup-destroy").edit(&key, |stream: &mut Stream| {
            let destroyed = stream.remove_group(name);
            Edit::counted(u64::from(destroyed), destroyed)
        })?;
    if destroyed == Some(true) {
        // Its readers wait in vain, which they are to be told.
        keyspace.signal(&key);
    }
    call.reply.integer(i64::from(destroyed.ok_or(NO_STREAM)?));
    Ok(())
}

fn create_consumer(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let consumer_name = call.args.at(4);
    let now_ms = call.time_of_day().0;
    let added = edit_group(call, view, "xgroup-createconsumer", |stream, name| {
        let added = stream.edit_group(name, |group, _| group.add_consumer(consumer_name, now_ms).1);
        let added = added.unwrap_or(false);
        Edit::counted(u64::from(added), added)
    })?;
    call.reply.integer(i64::from(added));
    Ok(())
}

fn delete_consumer(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    let consumer_name = call.args.at(4);
    let pending = edit_group(call, view, "xgroup-delconsumer", |stream, name| {
        let removed = stream.edit_group(name, |group, _| group.remove_consumer(consumer_name));
        let removed = removed.flatten();
        Edit::counted(u64::from(removed.is_some()), removed.unwrap_or(0))
    })?;
    call.reply.integer(pending.cast_signed() as i64);
    Ok(())
}

fn help(call: &mut Call<'_>, _: &mut ShardView<'_>) -> ReplyResult {
    write_help(
        &mut call.reply,
        "XGROUP",
        &[
            "CREATE <key> <groupname> <id|$> [option]",
            "    Create a new consumer group. Options are:",
            "    * MKSTREAM",
            "      Create the empty stream if it does not exist.",
            "    * ENTRIESREAD entries_read",
            "      Set the group's entries_read counter (internal use).",
            "CREATECONSUMER <key> <groupname> <consumer>",
            "    Create a new consumer in the specified group.",
            "DELCONSUMER <key> <groupname> <consumer>",
            "    Remove the specified consumer.",
            "DESTROY <key> <groupname>",
            "    Remove the specified group.",
            "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
            "    Set the current group ID and entries_read counter.",
        ],
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn groups_and_consumers_come_and_go() {
        transcript(
            r"
            XGROUP CREATE s g $     => -ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
            XGROUP CREATE s g x MKSTREAM => -ERR Invalid stream ID specified as stream command argument
            EXISTS s                => :0
            XGROUP CREATE s g $ MKSTREAM => +OK
            XGROUP CREATE s g $     => -BUSYGROUP Consumer Group name already exists
            XLEN s                  => :0
            XGROUP CREATECONSUMER s g c => :1
            XGROUP CREATECONSUMER s g c => :0
            XGROUP CREATECONSUMER s x c => -NOGROUP No such consumer group 'x' for key name 's'
            XADD s 1-1 f v          => $3 1-1
            XREADGROUP GROUP g c STREAMS s > => *1 *2 $1 s *1 *2 $3 1-1 *2 $1 f $1 v
            XGROUP SETID s g 0      => +OK
            XREADGROUP GROUP g d STREAMS s > => *1 *2 $1 s *1 *2 $3 1-1 *2 $1 f $1 v
            XGROUP DELCONSUMER s g c => :0
            XGROUP DELCONSUMER s g d => :1
            XGROUP DELCONSUMER s g d => :0
            XGROUP SETID s g $ ENTRIESREAD 1 => +OK
            XGROUP SETID s g $ ENTRIESREAD -2 => -ERR value for ENTRIESREAD must be positive or -1
            XGROUP SETID s g $ BAD  => -ERR unknown subcommand or wrong number of arguments for 'SETID'. Try XGROUP HELP.
            XGROUP DESTROY s g      => :1
            XGROUP DESTROY s g      => :0
            XGROUP DESTROY nokey g  => -ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically.
            XGROUP NONSENSE s g     => -ERR unknown subcommand 'NONSENSE'. Try XGROUP HELP.
            ",
        );
    }
}
