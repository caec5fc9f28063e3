//! What scripts can reach, and that they leave nothing behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod support;

use support::{engine, eval, eval_in, text};

#[test]
fn the_globals_are_those_of_redis() {
    let names = text(
        "local t = {} for k in pairs(_G) do t[#t + 1] = k end table.sort(t) return table.concat(t, ' ')",
    );
    assert_eq!(
        names,
        "ARGV KEYS _G _VERSION __redis__err__handler __server__err__handler assert bit cjson cmsgpack \
         collectgarbage coroutine error gcinfo getmetatable ipairs load loadstring math next os pairs \
         pcall rawequal rawget rawset redis select server setmetatable string struct table tonumber \
         tostring type unpack xpcall"
    );
    for (library, names) in [
        ("os", "clock"),
        ("coroutine", "create resume running status wrap yield"),
        ("bit", "arshift band bnot bor bswap bxor lshift rol ror rshift tobit tohex"),
        ("struct", "pack size unpack"),
        ("table", "concat foreach foreachi getn insert maxn remove setn sort"),
        (
            "string",
            "byte char dump find format gfind gmatch gsub len lower match rep reverse sub upper",
        ),
    ] {
        let script = format!(
            "local t = {{}} for k in pairs({library}) do t[#t + 1] = k end table.sort(t) return \
             table.concat(t, ' ')"
        );
        assert_eq!(text(&script), names);
    }
}

#[test]
fn nothing_shared_can_be_written() {
    let readonly = "Attempt to modify a readonly table";
    for script in [
        "x = 1",
        "redis = 1",
        "KEYS = {}",
        "string.x = 1",
        "redis.call = 1",
        "cjson.null = 1",
        "_G.x = 1",
        "rawset(_G, 'x', 1)",
        "rawset(redis, 'x', 1)",
        "setmetatable(_G, {})",
        "getmetatable('').__index = 1",
        "getmetatable('').__index.x = 1",
        "function f() end",
    ] {
        let line = eval(script);
        assert!(
            line == format!("-ERR user_script:1: {readonly} script: SHA, on @user_script:1."),
            "{script}: {line}"
        );
    }
    for script in ["table.insert(redis, 1)", "table.insert(_G, 1)", "table.sort(redis)"] {
        assert!(eval(script).contains("bad argument #1"), "{script}");
    }
}

#[test]
fn what_is_absent_is_an_error() {
    for name in [
        "print", "dofile", "loadfile", "newproxy", "debug", "getfenv", "setfenv", "io", "require",
        "package", "foo",
    ] {
        assert_eq!(
            eval(&format!("return {name}")),
            format!(
                "-ERR user_script:1: Script attempted to access nonexistent global variable '{name}' \
                 script: SHA, on @user_script:1."
            )
        );
    }
}

#[test]
fn nothing_is_left_for_the_next_script() {
    let mut engine = engine();
    for script in [
        "pcall(function() x = 1 end)",
        "pcall(rawset, _G, 'x', 1)",
        "pcall(function() string.x = 1 end)",
        "cjson.encode_max_depth(1)",
        "local m = getmetatable('') pcall(function() m.x = 1 end)",
        "loadstring('pcall(function() x = 1 end)')()",
    ] {
        assert!(!eval_in(&mut engine, script).starts_with('-'), "{script}");
    }
    assert_eq!(eval_in(&mut engine, "return rawget(_G, 'x')"), "$-1|");
    assert_eq!(eval_in(&mut engine, "return string.x"), "$-1|");
    assert_eq!(eval_in(&mut engine, "return cjson.encode({{{}}})"), "$6|[[{}]]|");
}

#[test]
fn readonly_tables_look_like_tables() {
    for (script, shown) in [
        ("return type(redis) .. type(string) .. type(_G)", "tabletabletable"),
        ("return type(next(bit))", "string"),
        ("return type(rawget(string, 'len'))", "function"),
        ("return tostring(getmetatable(redis))", "nil"),
        ("return ('x'):rep(3)", "xxx"),
        ("return _G.string.upper('a')", "A"),
        ("return (tostring(redis):gsub('0x%x+', ''))", "table: "),
    ] {
        assert_eq!(text(script), shown, "{script}");
    }
}

#[test]
fn text_is_compiled_and_bytecode_is_not() {
    for (script, shown) in [
        ("return tostring(loadstring('return 1 + 1')())", "2"),
        ("return tostring(load(function() return nil end)) == nil", "-"),
        (
            "return (select(2, loadstring('x =')))",
            "[string \"x =\"]:1: unexpected symbol near '<eof>'",
        ),
        (
            "return (select(2, loadstring(string.dump(function() end))))",
            "attempt to load a binary chunk",
        ),
        ("local f = string.dump(function() return 1 end) return tostring(loadstring(f))", "nil"),
        (
            "local n = 0 local f = load(function() n = n + 1 return ({'return ', '7'})[n] end) return tostring(f())",
            "7",
        ),
    ] {
        if shown != "-" {
            assert_eq!(text(script), shown, "{script}");
        }
    }
}

#[test]
fn errors_are_caught_as_values() {
    for (script, shown) in [
        ("return select(2, pcall(error, 'x'))", "x"),
        ("return select(2, pcall(function() error('x') end))", "user_script:1: x"),
        ("return select(2, pcall(redis.call, 'fail'))", "WRONGTYPE not this"),
        (
            "return select(2, xpcall(function() redis.call('fail') end, function(e) return e.err end))",
            "WRONGTYPE not this",
        ),
        (
            "local co = coroutine.create(function() redis.call('fail') end) local _, e = coroutine.resume(co) return e.err",
            "WRONGTYPE not this",
        ),
        ("local co = coroutine.wrap(function() coroutine.yield('y') end) return co()", "y"),
        (
            "return select(2, pcall(cjson.decode, 'x'))",
            "Expected value but found invalid token at character 1",
        ),
        (
            "return select(2, pcall(function() local function f() return f() + 1 end f() end))",
            "user_script:1: stack overflow",
        ),
    ] {
        let found = text(script);
        assert!(found.starts_with(shown), "{script}: {found}");
    }
}

#[test]
fn unpack_returns_what_fits_beside_its_arguments() {
    let of = |count: usize, call: &str| {
        eval(&format!(
            "local t = {{}} for i = 1, {count} do t[i] = i end return select('#', {call})"
        ))
    };
    let refused = "-ERR user_script:1: too many results to unpack script: SHA, on @user_script:1.";
    for (call, most) in [
        ("unpack(t)", 7999),
        ("unpack(t, 1)", 7998),
        ("unpack(t, 1, #t)", 7997),
        ("unpack(t, nil, nil)", 7997),
    ] {
        assert_eq!(of(most, call), format!(":{most}|"), "{call}");
        assert_eq!(of(most + 1, call), refused, "{call}");
    }
    for (script, expected) in [
        ("return {unpack({1, 2, 3}, '2')}", "*2|:2|:3|"),
        ("return {unpack({1, 2, 3}, 2, 2)}", "*1|:2|"),
        ("return {unpack({1, 2, 3}, 3, 2)}", "*0|"),
    ] {
        assert_eq!(eval(script), expected, "{script}");
    }
    for (call, problem) in [
        ("unpack()", "bad argument #1 to 'unpack' (table expected, got no value)"),
        ("unpack(nil)", "bad argument #1 to 'unpack' (table expected, got nil)"),
        ("unpack({}, {})", "bad argument #2 to 'unpack' (number expected, got table)"),
        ("unpack({}, 1, 'x')", "bad argument #3 to 'unpack' (number expected, got string)"),
    ] {
        let line = format!("-ERR user_script:1: {problem} script: SHA, on @user_script:1.");
        assert_eq!(eval(&format!("return {{{call}}}")), line);
    }
}
