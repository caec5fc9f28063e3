//! PFDEBUG and PFSELFTEST.

use super::{corrupt, registers_of};
use darter_base::{ShardId, UnixMillis};
use darter_command_table::{
    Access, Arg, Arity, Call, Category, Command, Flags, Group, Handler, KeySpec, Progress,
    ReplyError, ReplyResult, ShardView, Slice,
};
use darter_resp::{Args, ReplyWriter};
use darter_shard::{Expiry, Key, Keyspace, Shard};
use darter_value::hyperloglog::{self, Corrupt, Form};

/// Looks inside a HyperLogLog.
pub(super) static PFDEBUG: Command = Command {
    name: "PFDEBUG",
    is_internal: true,
    group: Group::HyperLogLog,
    since: "2.8.9",
    summary: "Shows the registers, the runs or the form of a HyperLogLog, or makes it dense.",
    complexity: "O(1) with a large constant.",
    arity: Arity::Exactly(3),
    flags: Flags::WRITE.and(Flags::DENYOOM).and(Flags::ADMIN),
    acl: Category::HYPERLOGLOG,
    keys: &[KeySpec::at(2, Access::READ_WRITE.and(Access::ACCESS))],
    args: &[Arg::string("subcommand"), Arg::key("key")],
    handler: Handler::Keyed(pfdebug),
    ..Command::BASE
};

/// Checks the estimates.
pub(super) static PFSELFTEST: Command = Command {
    name: "PFSELFTEST",
    is_internal: true,
    group: Group::HyperLogLog,
    since: "2.8.9",
    summary: "Checks that HyperLogLogs of both forms agree and estimate well.",
    complexity: "O(1): about a second, in slices.",
    arity: Arity::Exactly(1),
    flags: Flags::ADMIN,
    acl: Category::HYPERLOGLOG,
    handler: Handler::Sliced(pfselftest),
    ..Command::BASE
};

fn pfdebug(call: &mut Call<'_>, view: &mut ShardView<'_>) -> ReplyResult {
    if call.is_word(1, "SIMD") {
        // There is one implementation, which the compiler turns into vector instructions.
        if !call.is_word(2, "ON") && !call.is_word(2, "OFF") {
            return Err(ReplyError::Text("ERR Argument must be ON or OFF"));
        }
        call.reply.simple("disabled");
        return Ok(());
    }
    let key = call.key(2);
    let mut keyspace = call.keyspace(view, &key);
    let Some(value) = keyspace.peek(&key) else {
        return Err(ReplyError::Text("ERR The specified key does not exist"));
    };
    let (bytes, form) = registers_of(value)?;
    if call.is_word(1, "GETREG") {
        let registers = hyperloglog::registers(bytes).map_err(corrupt)?;
        make_dense(&mut keyspace, &key)?;
        call.reply.array(registers.values().len());
        for value in registers.values() {
            call.reply.integer(i64::from(*value));
        }
    } else if call.is_word(1, "DECODE") {
        if form != Form::Sparse {
            return Err(ReplyError::Text("ERR HLL encoding is not sparse"));
        }
        let text = runs_text(bytes).map_err(corrupt)?;
        call.reply.bulk(text.as_bytes());
    } else if call.is_word(1, "ENCODING") {
        call.reply.simple(form.name());
    } else if call.is_word(1, "TODENSE") {
        let was_sparse = make_dense(&mut keyspace, &key)?;
        call.reply.integer(i64::from(was_sparse));
    } else {
        let name = darter_command_table::until_nul(call.args.at(1));
        let line = [b"ERR Unknown PFDEBUG subcommand '", name, b"'"].concat();
        return Err(ReplyError::Line(line));
    }
    Ok(())
}

/// Makes the HyperLogLog at `key` dense; whether it was sparse.
fn make_dense(keyspace: &mut Keyspace<'_>, key: &Key<'_>) -> Result<bool, ReplyError> {
    let Some(value) = keyspace.peek(key) else { return Ok(false) };
    let (bytes, Form::Sparse) = registers_of(value)? else { return Ok(false) };
    let mut bytes = bytes.to_vec();
    hyperloglog::make_dense(&mut bytes).map_err(corrupt)?;
    keyspace.set_raw(key, bytes, Expiry::Keep);
    Ok(true)
}

/// The runs of a sparse one: `z:len` and `Z:len` for zeroes, `v:value,len` for others.
fn runs_text(bytes: &[u8]) -> Result<String, Corrupt> {
    let runs = hyperloglog::runs(bytes).map(|run| {
        let run = run?;
        Ok(match (run.value, run.long) {
            (0, false) => format!("z:{}", run.len),
            (0, true) => format!("Z:{}", run.len),
            (value, _) => format!("v:{value},{}", run.len),
        })
    });
    Ok(runs.collect::<Result<Vec<_>, _>>()?.join(" "))
}

/// Shows a million elements to a HyperLogLog of each form.
struct SelfTest {
    shard: ShardId,
    sparse_bytes_max: u32,
    sparse: Vec<u8>,
    dense: Vec<u8>,
    /// Makes the elements of each run others.
    seed: u64,
    seen: u32,
    failure: Option<String>,
}

impl SelfTest {
    const ELEMENTS: u32 = 1_000_000;
    const ELEMENTS_IN_SLICE: u32 = 10_000;

    /// What is wrong after `seen` elements, a power of ten.
    fn check(&self) -> Option<String> {
        let seen = u64::from(self.seen);
        let Ok(estimate) = hyperloglog::count(&self.dense) else {
            return Some("TESTFAILED dense registers are corrupt".to_owned());
        };
        if seen < u64::from(self.sparse_bytes_max / 2)
            && hyperloglog::form_of(&self.sparse) != Some(Form::Sparse)
        {
            return Some("TESTFAILED sparse encoding not used".to_owned());
        }
        if hyperloglog::count(&self.sparse) != Ok(estimate) {
            return Some("TESTFAILED dense/sparse disagree".to_owned());
        }
        // Six times the standard error of 1.04 / 128, rounded up; collisions weigh more among few.
        let error_max = if seen == 10 { 1 } else { (seen * 624).div_ceil(12_800) };
        let error = seen.abs_diff(estimate);
        (error > error_max).then(|| format!("TESTFAILED Too big error. card:{seen} abserr:{error}"))
    }
}

impl Slice for SelfTest {
    fn begin(&self) -> Progress {
        Progress::On(self.shard)
    }

    fn run(&mut self, _: Args<'_>, shard: &mut Shard, _: UnixMillis) -> Progress {
        if self.seen == 0 {
            self.seed = shard.random();
        }
        for _ in 0..Self::ELEMENTS_IN_SLICE {
            self.seen += 1;
            let element = (u64::from(self.seen) ^ self.seed).to_le_bytes();
            hyperloglog::add_to_dense(&mut self.dense, &element);
            if hyperloglog::add(&mut self.sparse, &element, self.sparse_bytes_max).is_err() {
                self.failure = Some("TESTFAILED sparse registers are corrupt".to_owned());
            } else if 10_u32.pow(self.seen.ilog10()) == self.seen {
                self.failure = self.check();
            }
            if self.failure.is_some() || self.seen == Self::ELEMENTS {
                return Progress::Done;
            }
        }
        Progress::On(self.shard)
    }

    fn finish(&mut self, reply: &mut ReplyWriter<'_>) {
        match &self.failure {
            None => reply.ok(),
            Some(failure) => reply.error(format!("ERR {failure}")),
        }
    }
}

fn pfselftest(call: &Call<'_>) -> Result<Box<dyn Slice>, ReplyError> {
    let mut dense = hyperloglog::empty();
    hyperloglog::make_dense(&mut dense).map_err(corrupt)?;
    Ok(Box::new(SelfTest {
        shard: ShardId(0),
        sparse_bytes_max: call.limits.encodings.hll_sparse_bytes_max,
        sparse: hyperloglog::empty(),
        dense,
        seed: 0,
        seen: 0,
        failure: None,
    }))
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn pfdebug_shows_runs_and_forms() {
        transcript(
            r"
            PFADD k                 => :1
            PFDEBUG DECODE k        => $7 Z:16384
            PFADD k a               => :1
            PFDEBUG encoding k      => +sparse
            PFDEBUG TODENSE k       => :1
            PFDEBUG TODENSE k       => :0
            PFDEBUG ENCODING k      => +dense
            PFDEBUG DECODE k        => -ERR HLL encoding is not sparse
            PFDEBUG NONSENSE k      => -ERR Unknown PFDEBUG subcommand 'NONSENSE'
            PFDEBUG ENCODING nokey  => -ERR The specified key does not exist
            PFDEBUG SIMD x          => -ERR Argument must be ON or OFF
            SET s x                 => +OK
            PFDEBUG ENCODING s      => -WRONGTYPE Key is not a valid HyperLogLog string value.
            PFSELFTEST              => +OK
            ",
        );
    }
}
