//! Scripts that mean harm: each ends soon after the host says so, or by itself with an error.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod support;

use darter_resp::Protocol;
use std::time::Duration;
use support::{STOP, Server, engine, run_with};

/// After this long a script is to stop,
const LIMIT: Duration = Duration::from_millis(200);
/// and this much later it has.
const GRACE: Duration = Duration::from_secs(1);

/// Runs `script` until it is stopped, and returns its error line; the engine works afterwards.
fn stopped(script: &str) -> String {
    run_for(script, LIMIT)
}

fn run_for(script: &str, limit: Duration) -> String {
    let mut engine = engine();
    let mut server = Server::new();
    server.limit = limit;
    let result = run_with(&mut engine, &mut server, script, &[], &[], Protocol::Resp2);
    let late = server.elapsed().saturating_sub(limit);
    assert!(late < GRACE, "{script} went on for {late:?}");
    let after = run_with(&mut engine, &mut Server::new(), "return 1", &[], &[], Protocol::Resp2);
    assert_eq!(after.unwrap(), b":1\r\n");
    match result {
        Ok(reply) => reply.escape_ascii().to_string(),
        Err(error) => String::from_utf8_lossy(&error.line).into_owned(),
    }
}

#[test]
fn endless_scripts_are_stopped_whatever_they_catch() {
    for script in [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(error) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "local function f() pcall(f) while true do end end while true do pcall(f) end",
        "while true do local co = coroutine.create(function() while true do end end) coroutine.resume(co) end",
        "while true do pcall(coroutine.wrap(function() while true do pcall(error, {}) end end)) end",
        "while true do coroutine.resume(coroutine.create(function() pcall(function() while true do end end) end)) end",
        "while true do redis.pcall('fail') end",
        "while true do pcall(redis.call, 'fail') end",
        "repeat until false",
        "local t = setmetatable({}, {__index = function(t, k) return t[k + 1] end}) while true do pcall(function() return t[1] end) end",
        "while true do collectgarbage() end",
        "while true do loadstring('return 1')() end",
        "table.sort({3, 2, 1}, function(a, b) while true do end end)",
        "string.gsub('x', '.', function() while true do end end)",
        "while true do pcall(string.rep, 'x', 1e9) end",
        "local s = string.rep('x', 2^20) while true do local t = s .. 'a' end",
        "local s = 'x' while true do pcall(function() s = s .. s end) end",
        "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end end) t = {} end",
        "local t = {} for i = 1, 3e5 do t[i] = i end while true do table.insert(t, 1, 0) end",
    ] {
        let line = stopped(script);
        // On a busy machine before its first line.
        let is_stopped = line == format!("ERR {STOP}")
            || line.starts_with(&format!("ERR {STOP} script: SHA, on "));
        assert!(is_stopped || line.contains("not enough memory"), "{script}: {line}");
    }
}

#[test]
fn what_is_caught_for_lack_of_memory_leaves_room() {
    for fill in [
        "local t = {} while true do t[#t + 1] = {} end",
        "local s = 'x' while true do s = s .. s end",
    ] {
        let script = format!(
            "local function fill() {fill} end local said \
             for i = 1, 2 do said = select(2, pcall(fill)) local t = {{}} for j = 1, 1e4 do t[j] = {{}} end end \
             return said"
        );
        let reply = run_for(&script, Duration::from_mins(1));
        assert!(reply.contains("not enough memory") && reply.starts_with('$'), "{fill}: {reply}");
    }
}

#[test]
fn one_long_call_is_stopped() {
    for script in [
        // Patterns that would run for hours.
        "string.find(('a'):rep(200000), ('a?'):rep(200000) .. ('a'):rep(200000))",
        "string.find(('a'):rep(100), ('a*'):rep(50) .. 'b')",
        "string.match(('a'):rep(1000000), '.-.-.-.-b')",
        "string.gsub(('x'):rep(1000000), '(x*)(x*)(x*)y', '')",
        "for _ in string.gmatch(('('):rep(1000000), '%b()') do end",
        "string.find(('a'):rep(1000000), ('a'):rep(500000) .. 'b', 1, true) while true do end",
    ] {
        let line = stopped(script);
        assert!(line.contains(STOP), "{script}: {line}");
    }
}

#[test]
fn what_would_take_too_much_memory_is_refused() {
    for (script, problem) in [
        ("return string.rep('x', 1e9)", "not enough memory"),
        ("return string.rep('', 1e18)", "$0"),
        ("return #string.rep('abc', 2^60)", "resulting string too large"),
        ("local s = 'x' while true do s = s .. s end", "not enough memory"),
        ("local t = {} while true do t[#t + 1] = {} end", "not enough memory"),
        ("local s = ('x'):rep(2^20) return (s:gsub('x', s))", "not enough memory"),
        (
            "local a = ('x'):rep(1e4) for i = 1, 40 do a = {a, a} end return cjson.encode(a)",
            "not enough memory",
        ),
        ("return struct.pack('c2147483647', 'x')", "string too short"),
        ("return struct.pack('!2147483648', 1)", "integral size overflow"),
        ("return unpack({}, 0, 2^31 - 1)", "too many results to unpack"),
        ("return unpack({}, -2147483648, -1)", "too many results to unpack"),
        ("return unpack({}, -2147483648)", "too many results to unpack"),
        ("return unpack({}, 1, 1e8)", "too many results to unpack"),
        ("return cmsgpack.unpack(('\\145'):rep(100000))", "values nest too deeply"),
        ("return cjson.decode(('['):rep(1e6))", "too many nested data structures"),
        ("return loadstring(('('):rep(1e5))()", "attempt to call a nil value"),
        (
            "return loadstring('return ' .. ('['):rep(1) .. ('='):rep(70000))()",
            "attempt to call a nil value",
        ),
        ("local function f() return 1 + f() end return f()", "stack overflow"),
        ("local t = {} setmetatable(t, {__index = t}) return t.x", "loop in gettable"),
        ("return string.format('%9999d', 1)", "invalid format"),
        ("local co co = coroutine.wrap(function() co() end) co()", "coroutine"),
        ("local function f() return coroutine.wrap(f)() end f()", "C stack overflow"),
        ("return ('x'):rep(1e4):gsub('.', ('y'):rep(1e5))", "not enough memory"),
    ] {
        let line = run_for(script, Duration::from_mins(1));
        assert!(line.contains(problem), "{script}: {}", &line[..line.len().min(300)]);
    }
}

#[test]
fn odd_errors_are_replies() {
    for script in [
        "error({})",
        "error(nil)",
        "error(true)",
        "error(function() end)",
        "error(setmetatable({}, {__index = error, __tostring = error}))",
        "error({err = {}})",
        "error({err = 1})",
        "error({err = 'a\\r\\nb\\0c'})",
        "error(coroutine.create(error))",
        "error(redis)",
        "local ok, e = pcall(redis.call, 'fail', 'x') error(e)",
        "return redis.error_reply('\\r\\n+INJECTED\\r\\n')",
        "return {err = '\\r\\n$5'}",
        "return {ok = '\\r\\n$5'}",
        "coroutine.yield()",
        "return setmetatable({}, {__index = function() error('x') end})",
    ] {
        let line = stopped(script);
        assert!(!line.contains("panick"), "{script}: {line}");
    }
}
