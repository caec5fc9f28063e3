//! Compares this crate and `darter-base` with a running Redis 7.0, by asking it.
//!
//! ```sh
//! redis-server --save "" --port 7011 &
//! cargo run --release -p darter-resp --example redis_differential -- 127.0.0.1:7011 [seed] [cases]
//! ```
//!
//! The server's data is destroyed. A server with `--cluster-enabled yes` is asked for the slots of keys
//! and nothing else, which only it can tell. Prints how many cases of each kind were compared, the
//! first that differ, and fails if any does.

#![expect(clippy::print_stdout, reason = "a tool for the terminal")]
#![expect(clippy::cast_possible_truncation, reason = "bytes and small numbers at random")]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use darter_base::crc16::slot_of;
use darter_base::extended::Extended;
use darter_base::float::{format_f64_17, parse_f64};
use darter_base::glob::{Case, glob_matches};
use darter_base::number::{format_i64, parse_i64};
use darter_base::split_args::{append_quoted, split_args};
use darter_resp::reply::{Reply, ReplyParser};
use darter_resp::{Args, Limits, Parsed, ProtocolError, RequestParser};

type Failure = Box<dyn std::error::Error>;

/// The `SplitMix64` generator.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    }

    const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn bytes(&mut self, alphabet: &[u8], len_below: u64) -> Vec<u8> {
        let len = self.below(len_below);
        (0..len).map(|_| alphabet[self.below(alphabet.len() as u64) as usize]).collect()
    }

    fn digits(&mut self, len_below: u64) -> Vec<u8> {
        self.bytes(b"0123456789", len_below)
    }
}

/// A client that sends many commands at once.
struct Client {
    stream: TcpStream,
    parser: ReplyParser,
    received: Vec<u8>,
}

impl Client {
    fn connect(address: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, parser: ReplyParser::default(), received: Vec::new() })
    }

    fn reply(&mut self) -> Result<Reply, Failure> {
        loop {
            let step = self.parser.parse(&self.received)?;
            self.received.drain(..step.consumed);
            if let Some(reply) = step.reply {
                return Ok(reply);
            }
            let mut chunk = [0; 16_384];
            let read = self.stream.read(&mut chunk)?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            self.received.extend_from_slice(&chunk[..read]);
        }
    }

    fn call(&mut self, args: &[&[u8]]) -> Result<Reply, Failure> {
        self.stream.write_all(&command(args))?;
        self.reply()
    }

    fn calls(&mut self, commands: &[Vec<u8>]) -> Result<Vec<Reply>, Failure> {
        self.stream.write_all(&commands.concat())?;
        commands.iter().map(|_| self.reply()).collect()
    }
}

fn command(args: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Counts the cases of one kind and prints the differences.
struct Comparison {
    kind: &'static str,
    cases: usize,
    skipped: usize,
    differences: usize,
}

impl Comparison {
    const fn new(kind: &'static str) -> Self {
        Self { kind, cases: 0, skipped: 0, differences: 0 }
    }

    fn compare(&mut self, case: impl Fn() -> String, ours: &[u8], redis: &[u8]) {
        self.cases += 1;
        if ours != redis {
            self.differences += 1;
            if self.differences <= 10 {
                let (ours, redis) = (ours.escape_ascii(), redis.escape_ascii());
                println!("  {}: {}\n    ours:  {ours}\n    redis: {redis}", self.kind, case());
            }
        }
    }

    fn finish(self) -> usize {
        let Self { kind, cases, skipped, differences } = self;
        println!("{kind:<34} {cases:>8} compared {skipped:>6} left out {differences:>6} different");
        differences
    }
}

fn text(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Bulk(text) | Reply::Simple(text) => text.clone(),
        Reply::Error(text) => [b"-", &text[..]].concat(),
        Reply::Integer(value) => format_i64(*value).to_vec(),
        other => format!("{other:?}").into_bytes(),
    }
}

/// Texts that are numbers, or almost.
fn number_text(random: &mut Random) -> Vec<u8> {
    let sign = random.pick(&[&b""[..], b"", b"", b"-", b"-", b"+"]);
    let mut number = match random.below(12) {
        0..=3 => [random.digits(6), b".".to_vec(), random.digits(20)].concat(),
        4 => random.digits(30),
        5 => [random.digits(25), b".".to_vec(), random.digits(25)].concat(),
        6 => f64::from_bits(random.next()).abs().to_string().into_bytes(),
        7 => format!("{:e}", f64::from_bits(random.next()).abs()).into_bytes(),
        8 => [&b"0x"[..], &random.bytes(b"0123456789abcdefABCDEF", 20), b".", &random.digits(20)]
            .concat(),
        9 => [b"0.".to_vec(), vec![b'0'; random.below(20) as usize], random.digits(20)].concat(),
        10 => random.bytes(b"0123456789.eE+-xXpPinfa ", 8),
        _ => random.pick(&[&b"inf"[..], b"Infinity", b"nan", b"0x", b"", b"INF"]).to_vec(),
    };
    if random.below(3) == 0 {
        let mark = if number.starts_with(b"0x") { b"p" } else { random.pick(&[b"e", b"E"]) };
        number.extend_from_slice(mark);
        number.extend_from_slice(random.pick(&[&b""[..], b"-", b"+"]));
        let digits = random.pick(&[&1_u64, &2, &2, &3, &3, &4, &5, &6]);
        number.extend_from_slice(&random.digits(*digits + 1));
    }
    [sign, &number].concat()
}

fn compare_extended(
    client: &mut Client,
    random: &mut Random,
    cases: usize,
) -> Result<usize, Failure> {
    let mut comparison = Comparison::new("INCRBYFLOAT");
    for _ in 0..cases.div_ceil(1000) {
        let pairs: Vec<_> = (0..1000).map(|_| (number_text(random), number_text(random))).collect();
        let mut commands = Vec::new();
        for (left, right) in &pairs {
            commands.push(command(&[b"SET", b"k", left]));
            commands.push(command(&[b"INCRBYFLOAT", b"k", right]));
        }
        let replies = client.calls(&commands)?;
        for ((left, right), replies) in pairs.iter().zip(replies.chunks(2)) {
            let sum = Extended::parse(left).zip(Extended::parse(right)).map(|(a, b)| a + b);
            let ours = match sum {
                None => b"-ERR value is not a valid float".to_vec(),
                Some(sum) if !sum.is_finite() => {
                    b"-ERR increment would produce NaN or Infinity".to_vec()
                }
                Some(sum) => sum.to_text(),
            };
            let case = || format!("{} + {}", left.escape_ascii(), right.escape_ascii());
            comparison.compare(case, &ours, &text(&replies[1]));
        }
    }
    Ok(comparison.finish())
}

fn compare_doubles(
    client: &mut Client,
    random: &mut Random,
    cases: usize,
) -> Result<usize, Failure> {
    let mut comparison = Comparison::new("ZADD and ZSCORE");
    for _ in 0..cases.div_ceil(1000) {
        let mut scores: Vec<_> = (0..1000).map(|_| number_text(random)).collect();
        // In their place these are options.
        scores.retain(|score| {
            !score.eq_ignore_ascii_case(b"xx") && !score.eq_ignore_ascii_case(b"nx")
        });
        let mut commands = Vec::new();
        for score in &scores {
            commands.push(command(&[b"DEL", b"z"]));
            commands.push(command(&[b"ZADD", b"z", score, b"m"]));
            commands.push(command(&[b"ZSCORE", b"z", b"m"]));
        }
        let replies = client.calls(&commands)?;
        for (score, replies) in scores.iter().zip(replies.chunks(3)) {
            let ours = match parse_f64(score) {
                None => b"-ERR value is not a valid float".to_vec(),
                // A small sorted set stores the integer 0 for it.
                Some(-0.0) => b"0".to_vec(),
                Some(score) => format_f64_17(score).to_vec(),
            };
            let redis = if ours[0] == b'-' && ours[1] == b'E' { &replies[1] } else { &replies[2] };
            comparison.compare(|| score.escape_ascii().to_string(), &ours, &text(redis));
        }
    }
    Ok(comparison.finish())
}

fn compare_integers(
    client: &mut Client,
    random: &mut Random,
    cases: usize,
) -> Result<usize, Failure> {
    let mut comparison = Comparison::new("INCRBY");
    for _ in 0..cases.div_ceil(1000) {
        let texts: Vec<_> = (0..1000)
            .map(|_| match random.below(4) {
                0 => random.bytes(b"0123456789+-. \0x", 5),
                1 => random.digits(23),
                2 => [&b"-"[..], &random.digits(23)].concat(),
                _ => {
                    let near = i128::from(random.pick(&[&i64::MAX, &i64::MIN, &0]).to_owned());
                    (near + i128::from(random.below(5)) - 2).to_string().into_bytes()
                }
            })
            .collect();
        let mut commands = Vec::new();
        for text in &texts {
            commands.push(command(&[b"SET", b"k", b"0"]));
            commands.push(command(&[b"INCRBY", b"k", text]));
        }
        let replies = client.calls(&commands)?;
        for (given, replies) in texts.iter().zip(replies.chunks(2)) {
            let ours = match parse_i64(given) {
                Some(value) => format_i64(value).to_vec(),
                None => b"-ERR value is not an integer or out of range".to_vec(),
            };
            comparison.compare(|| given.escape_ascii().to_string(), &ours, &text(&replies[1]));
        }
    }
    Ok(comparison.finish())
}

fn compare_globs(client: &mut Client, random: &mut Random, cases: usize) -> Result<usize, Failure> {
    const TEXTS: usize = 400;
    let mut comparison = Comparison::new("SCAN MATCH");
    for _ in 0..cases.div_ceil(TEXTS * 100) {
        client.call(&[b"FLUSHALL"])?;
        let alphabet = &b"ab-]^[\\*?A\xff\x00\x80\n"[..4 + random.below(10) as usize];
        let mut texts: Vec<_> = (0..TEXTS).map(|_| random.bytes(alphabet, 7)).collect();
        texts.sort();
        texts.dedup();
        let sets: Vec<_> = texts.iter().map(|text| command(&[b"SET", text, b""])).collect();
        client.calls(&sets)?;
        for _ in 0..100 {
            // KEYS and SCAN do not ask the matcher about a pattern that is one star, and KEYS finds a
            // pattern without special bytes by looking it up.
            let pattern = random.bytes(b"ab-]^[[\\*?A\xff\x00\x80", 9);
            if pattern == b"*" {
                comparison.skipped += 1;
                continue;
            }
            let reply = client.call(&[b"SCAN", b"0", b"COUNT", b"1000", b"MATCH", &pattern])?;
            let Reply::Array(parts) = reply else { return Err("SCAN without a reply".into()) };
            let Some(Reply::Array(found)) = parts.get(1) else { return Err("no keys".into()) };
            let mut found: Vec<Vec<u8>> = found.iter().map(text).collect();
            found.sort();
            for candidate in &texts {
                let ours = glob_matches(&pattern, candidate, Case::Exact);
                let redis = found.binary_search(candidate).is_ok();
                let case = || format!("{:?}", (pattern.escape_ascii(), candidate.escape_ascii()));
                comparison.compare(case, &[u8::from(ours)], &[u8::from(redis)]);
            }
        }
    }
    client.call(&[b"FLUSHALL"])?;
    Ok(comparison.finish())
}

fn compare_case_folding(client: &mut Client, random: &mut Random) -> Result<usize, Failure> {
    let mut comparison = Comparison::new("COMMAND LIST FILTERBY PATTERN");
    let Reply::Array(names) = client.call(&[b"COMMAND", b"LIST"])? else {
        return Err("COMMAND LIST without a list".into());
    };
    let mut names: Vec<Vec<u8>> = names.iter().map(text).collect();
    names.sort();
    for _ in 0..500 {
        let mut pattern = names[random.below(names.len() as u64) as usize].clone();
        for _ in 0..=random.below(3) {
            let at = random.below(pattern.len() as u64) as usize;
            let part = random.pick(&[
                &b"*"[..],
                b"?",
                b"[a-z]",
                b"[A-Z]",
                b"[Z-a]",
                b"[^A]",
                b"[s",
                b"\\S",
                b"[\\s]",
                b"S",
                b"*E",
                b"[e-]",
            ]);
            pattern.splice(at..=at, part.iter().copied());
        }
        let reply = client.call(&[b"COMMAND", b"LIST", b"FILTERBY", b"PATTERN", &pattern])?;
        let Reply::Array(found) = reply else { return Err("no list".into()) };
        let mut found: Vec<Vec<u8>> = found.iter().map(text).collect();
        found.sort();
        let ours: Vec<_> = names
            .iter()
            .filter(|name| glob_matches(&pattern, name, Case::Ignored))
            .map(Vec::as_slice)
            .collect();
        let case = || pattern.escape_ascii().to_string();
        comparison.compare(case, &ours.join(&b' '), &found.join(&b' '));
    }
    Ok(comparison.finish())
}

fn compare_slots(client: &mut Client, random: &mut Random, cases: usize) -> Result<usize, Failure> {
    let mut comparison = Comparison::new("CLUSTER KEYSLOT");
    for _ in 0..cases.div_ceil(1000) {
        let keys: Vec<_> = (0..1000)
            .map(|_| match random.below(2) {
                0 => random.bytes(b"ab{}", 30),
                _ => (0..random.below(40)).map(|_| random.next() as u8).collect(),
            })
            .collect();
        let commands: Vec<_> =
            keys.iter().map(|key| command(&[b"CLUSTER", b"KEYSLOT", key])).collect();
        for (key, reply) in keys.iter().zip(client.calls(&commands)?) {
            let ours = slot_of(key).number().to_string();
            comparison.compare(|| key.escape_ascii().to_string(), ours.as_bytes(), &text(&reply));
        }
    }
    Ok(comparison.finish())
}

fn compare_quoting(address: &str, random: &mut Random, cases: usize) -> Result<usize, Failure> {
    let mut comparison = Comparison::new("MONITOR");
    let mut client = Client::connect(address)?;
    let mut monitor = Client::connect(address)?;
    monitor.call(&[b"MONITOR"])?;
    for _ in 0..cases {
        let word: Vec<u8> = (0..random.below(20)).map(|_| random.next() as u8).collect();
        client.call(&[b"ECHO", &word])?;
        let line = text(&monitor.reply()?);
        let mut ours = b"\"ECHO\" ".to_vec();
        append_quoted(&mut ours, &word);
        let start = line.iter().position(|&byte| byte == b'"').unwrap_or(0);
        comparison.compare(|| word.escape_ascii().to_string(), &ours, &line[start..]);
    }
    Ok(comparison.finish())
}

fn compare_splitting(address: &str, random: &mut Random, cases: usize) -> Result<usize, Failure> {
    let mut comparison = Comparison::new("inline words");
    for _ in 0..cases {
        let line = random.bytes(b"ab\"\"'' \\\\xn4\x0b\t\r\xff", 14);
        let mut client = Client::connect(address)?;
        client.call(&[b"DEL", b"words"])?;
        client.stream.write_all(&[b"RPUSH words x ", &line[..], b"\n"].concat())?;
        let redis = match client.reply()? {
            Reply::Error(text) => text,
            _ => match client.call(&[b"LRANGE", b"words", b"1", b"-1"])? {
                Reply::Array(words) => words.iter().map(text).collect::<Vec<_>>().join(&b'|'),
                other => text(&other),
            },
        };
        let without_cr = line.strip_suffix(b"\r").unwrap_or(&line);
        let ours = match split_args(without_cr) {
            Ok(words) => words.join(&b'|'),
            Err(_) => ProtocolError::UnbalancedQuotes.message(),
        };
        comparison.compare(|| line.escape_ascii().to_string(), &ours, &redis);
    }
    Ok(comparison.finish())
}

/// What redis-server answers to a command that is `ECHO` or not known.
fn expected_reply(args: Args<'_>) -> Vec<u8> {
    let name = args.at(0);
    if name.eq_ignore_ascii_case(b"ECHO") {
        if args.len() != 2 {
            return b"-ERR wrong number of arguments for 'echo' command\r\n".to_vec();
        }
        let echoed = args.at(1);
        return [format!("${}\r\n", echoed.len()).as_bytes(), echoed, b"\r\n"].concat();
    }
    // C strings: they end at a NUL and are cut at 128 bytes, of all arguments together.
    let c_string = |bytes: &[u8], len_max: usize| -> Vec<u8> {
        bytes.iter().copied().take(len_max).take_while(|&byte| byte != 0).collect()
    };
    let mut listed: Vec<u8> = Vec::new();
    for arg in args.tail(1).iter() {
        if listed.len() >= 128 {
            break;
        }
        let shown = c_string(arg, 128 - listed.len());
        listed.extend_from_slice(&[b"'", &shown[..], b"' "].concat());
    }
    let mut error = b"ERR unknown command '".to_vec();
    error.extend_from_slice(&c_string(name, 128));
    error.extend_from_slice(b"', with args beginning with: ");
    error.extend_from_slice(&listed);
    for byte in &mut error {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    [b"-", &error[..], b"\r\n"].concat()
}

/// What redis-server would send if it parsed `input` as we do; `None` where we differ on purpose.
fn expected_replies(input: &[u8]) -> Option<Vec<u8>> {
    let mut parser = RequestParser::new();
    let mut spans = Vec::new();
    let mut replies = Vec::new();
    let mut position = 0;
    loop {
        spans.clear();
        let rest = &input[position..];
        let consumed = match parser.parse(rest, &mut spans, &Limits::default()) {
            Parsed::Command { consumed } => {
                replies.extend_from_slice(&expected_reply(Args::new(rest, &spans)));
                consumed
            }
            Parsed::Inline { consumed, args } => {
                replies.extend_from_slice(&expected_reply(args.as_args()));
                consumed
            }
            Parsed::Nothing { consumed } => consumed,
            Parsed::Incomplete { .. } => return Some(replies),
            Parsed::Malformed(ProtocolError::InvalidCrlf | ProtocolError::NulInInline) => {
                return None;
            }
            Parsed::Malformed(error) => {
                // An argument header or count with a NUL in it: Redis does not see its end.
                let line = rest.split(|&byte| byte == b'\n').find(|line| line.contains(&0));
                if line.is_some() {
                    return None;
                }
                replies.extend_from_slice(&[b"-", &error.message()[..], b"\r\n"].concat());
                return Some(replies);
            }
        };
        position += consumed;
    }
}

/// Everything the server sends in return for `input`, until it closes.
fn raw_replies(address: &str, input: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(input)?;
    stream.shutdown(Shutdown::Write)?;
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies)?;
    Ok(replies)
}

/// Requests, mostly well-formed, with some bytes changed.
fn request_bytes(random: &mut Random) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..=random.below(4) {
        match random.below(8) {
            0 => input.extend_from_slice(random.pick(&[
                &b"*0\r\n"[..],
                b"*-1\r\n",
                b"\r\n",
                b"\n",
                b"  \r\n",
                b"*-9\r\n",
            ])),
            1 | 2 => {
                input.extend_from_slice(b"ECHO ");
                input.extend_from_slice(&random.bytes(b"ab\"' \\xn4\t", 10));
                input.extend_from_slice(random.pick(&[&b"\r\n"[..], b"\n"]));
            }
            _ => {
                let arg = random.bytes(b"ab\r\n\0\xff$*1", 14);
                let name = random.pick(&[&b"ECHO"[..], b"echo", b"nope", b"x"]);
                let more = random.bytes(b"z", 14);
                let args = [name, &arg, &more];
                input.extend_from_slice(&command(&args[..=random.below(3) as usize]));
            }
        }
    }
    for _ in 0..random.below(3) {
        let at = random.below(input.len() as u64) as usize;
        match random.below(4) {
            0 => drop(input.remove(at)),
            1 => {
                let alphabet = b"1-0\r\n$*";
                input.insert(at, alphabet[random.below(7) as usize]);
            }
            2 => input[at] = random.next() as u8,
            _ => input.truncate(at),
        }
        if input.is_empty() {
            break;
        }
    }
    input
}

fn compare_requests(address: &str, random: &mut Random, cases: usize) -> Result<usize, Failure> {
    let mut comparison = Comparison::new("requests");
    for _ in 0..cases {
        let input = request_bytes(random);
        let Some(ours) = expected_replies(&input) else {
            comparison.skipped += 1;
            continue;
        };
        let redis = raw_replies(address, &input)?;
        comparison.compare(|| input.escape_ascii().to_string(), &ours, &redis);
    }
    Ok(comparison.finish())
}

/// The table `tests/requests.txt`, with what stands behind `redis:` instead of our own outcome.
fn compare_table(address: &str) -> Result<usize, Failure> {
    let mut comparison = Comparison::new("tests/requests.txt");
    let table = include_str!("../tests/requests.txt");
    for line in table.lines().filter(|line| line.starts_with('"')) {
        let mut words = split_args(line.as_bytes())?;
        let input = words.remove(0);
        if let Some(at) = words.iter().position(|word| word == b"redis:") {
            words.drain(..=at);
        }
        let mut expected = Vec::new();
        for word in &words {
            match &word[..] {
                b"..." => {}
                [b'-', reason @ ..] => {
                    expected
                        .extend_from_slice(&[b"-ERR Protocol error: ", reason, b"\r\n"].concat());
                }
                [b'(', args @ .., b')'] => {
                    let args: darter_resp::OwnedArgs = args.split(|&byte| byte == b'|').collect();
                    expected.extend_from_slice(&expected_reply(args.as_args()));
                }
                _ => return Err(format!("cannot read the table: {line}").into()),
            }
        }
        // Known commands of which only the shape counts.
        let redis = raw_replies(address, &input)?;
        comparison.compare(|| line.to_owned(), &expected, &redis);
    }
    Ok(comparison.finish())
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let address = args.next().ok_or("usage: redis_differential host:port [seed] [cases]")?;
    let seed = args.next().map_or(Ok(1), |seed| seed.parse())?;
    let cases: usize = args.next().map_or(Ok(20_000), |cases| cases.parse())?;
    let mut random = Random(seed);
    let mut client = Client::connect(&address)?;
    client.call(&[b"FLUSHALL"])?;
    let in_cluster = matches!(client.call(&[b"CLUSTER", b"KEYSLOT", b"foo"])?, Reply::Integer(_));
    let differences = if in_cluster {
        compare_slots(&mut client, &mut random, cases)?
    } else {
        compare_all(&address, &mut client, &mut random, cases)?
    };
    if differences > 0 {
        return Err(format!("{differences} differences (seed {seed})").into());
    }
    Ok(())
}

fn compare_all(
    address: &str,
    client: &mut Client,
    random: &mut Random,
    cases: usize,
) -> Result<usize, Failure> {
    Ok(compare_table(address)?
        + compare_requests(address, random, cases)?
        + compare_splitting(address, random, cases / 4)?
        + compare_quoting(address, random, cases / 4)?
        + compare_extended(client, random, cases)?
        + compare_doubles(client, random, cases)?
        + compare_integers(client, random, cases)?
        + compare_globs(client, random, 40 * cases)?
        + compare_case_folding(client, random)?)
}
