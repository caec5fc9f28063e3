//! `string`, `table`, `math`, `cjson`, `cmsgpack`, `struct` and `bit`, beside what the originals do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod support;

use darter_resp::{Output, Protocol, ReplyWriter};
use darter_script::RunArguments;
use support::{Server, arguments, engine, eval, run_with, text};

#[test]
fn patterns_match_as_lua_says() {
    for (script, shown) in [
        ("return table.concat({string.find('hello world', 'o w')}, ' ')", "5 7"),
        ("return table.concat({string.find('hello', 'l+')}, ' ')", "3 4"),
        ("return table.concat({string.find('a.b', '.', 1, true)}, ' ')", "2 2"),
        ("return table.concat({string.find('abc', '(b)(c)')}, ' ')", "2 3 b c"),
        ("return table.concat({string.find('abc', '')}, ' ')", "1 0"),
        ("return table.concat({string.find('', '')}, ' ')", "1 0"),
        ("return table.concat({string.find('abc', 'b', -1)}, ' ')", ""),
        (
            "return table.concat({string.match('key = value', '(%w+)%s*=%s*(%w+)')}, ',')",
            "key,value",
        ),
        ("return table.concat({string.match('  x  ', '^%s*(.-)%s*$')}, ',')", "x"),
        ("return table.concat({string.match('hello', '()ll()')}, ',')", "3,5"),
        ("return string.match('THE (quick) fox', '%((%a+)%)')", "quick"),
        ("return string.match('f(a(b)c)d', '%b()')", "(a(b)c)"),
        ("return (string.gsub('THE (quick) fox', '%f[%a]%a+', 'X'))", "X (X) X"),
        ("return string.match('say \"hi\" now', '([\"\\'])(.-)%1')", "\""),
        ("return (string.gsub('hello world', 'o', '0'))", "hell0 w0rld"),
        ("return table.concat({string.gsub('abc', '', '-')}, ' ')", "-a-b-c- 4"),
        ("return (string.gsub('abc', '%w', '%0%0'))", "aabbcc"),
        ("return (string.gsub('abc def', '(%w+) (%w+)', '%2 %1'))", "def abc"),
        ("return (string.gsub('$name is', '%$(%w+)', {name='x'}))", "x is"),
        (
            "return (string.gsub('abc', '%w', function(c) if c == 'b' then return 'B' end end))",
            "aBc",
        ),
        ("return (string.gsub('abc', 'b', '%%'))", "a%c"),
        ("return (string.gsub('aaa', 'a', 'b', 2))", "bba"),
        ("return (string.gsub('abc', '^a', 'x'))", "xbc"),
        (
            "local t = {} for w in string.gmatch('one two', '%a+') do t[#t+1] = w end return table.concat(t, '|')",
            "one|two",
        ),
        (
            "local t = {} for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do t[#t+1] = k .. v end return table.concat(t, '|')",
            "a1|b2",
        ),
        ("return string.match('x]y', '[]]')", "]"),
        ("return string.match('a-b', '[a%-]+')", "a-"),
        ("return string.match('abc', '[^a]+')", "bc"),
        ("return string.match('2024-01-02', '%d+%-%d+')", "2024-01"),
        ("return string.match('aab', 'a-b')", "aab"),
        ("return string.match('ab', 'a?b?c?')", "ab"),
        ("return string.rep('ab', 3) .. string.rep('x', 0) .. string.rep('x', -1)", "ababab"),
    ] {
        assert_eq!(text(script), shown, "{script}");
    }
    for (script, problem) in [
        ("string.find('a', '[a')", "malformed pattern (missing ']')"),
        ("string.find('a', '%')", "malformed pattern (ends with '%')"),
        ("string.find('a', '(a')", "unfinished capture"),
        ("string.find('a', 'a+)')", "invalid pattern capture"),
        ("string.find('a', '%1')", "invalid capture index"),
        ("string.find('a', '%f')", "missing '[' after '%f' in pattern"),
        ("string.find('a', '%b')", "unbalanced pattern"),
        (
            "string.gsub('a', 'a', true)",
            "bad argument #3 to 'gsub' (string/function/table expected)",
        ),
        ("string.gsub('a', 'a', '%2')", "invalid capture index"),
        ("string.gsub('a', 'a', function() return {} end)", "invalid replacement value (a table)"),
        ("string.find(nil, 'a')", "bad argument #1 to 'find' (string expected, got nil)"),
        ("string.rep('x')", "bad argument #2 to 'rep' (number expected, got no value)"),
        ("string.find('a', ('('):rep(33))", "too many captures"),
    ] {
        let line = eval(script);
        assert_eq!(
            line,
            format!("-ERR user_script:1: {problem} script: SHA, on @user_script:1."),
            "{script}"
        );
    }
}

#[test]
fn tables_are_sorted() {
    for (script, shown) in [
        ("local t = {3, 1, 2} table.sort(t) return table.concat(t, ',')", "1,2,3"),
        ("local t = {'b', 'a', 'c'} table.sort(t) return table.concat(t, ',')", "a,b,c"),
        (
            "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return table.concat(t, ',')",
            "3,2,1",
        ),
        (
            "local t = {} for i = 1, 100 do t[i] = (i * 37) % 101 end table.sort(t, function(a, b) return a < b end) for i = 2, 100 do assert(t[i - 1] <= t[i]) end return 'sorted'",
            "sorted",
        ),
    ] {
        assert_eq!(text(script), shown, "{script}");
    }
    let line = eval("table.sort({1, 'x'})");
    assert!(line.contains("attempt to compare"), "{line}");
}

#[test]
fn math_random_is_the_same_everywhere() {
    assert_eq!(text("math.randomseed(0) return tostring(math.random())"), "0.17082803611217");
    assert_eq!(
        eval("return math.random(0)"),
        "-ERR user_script:1: bad argument #1 to 'random' (interval is empty) script: SHA, on @user_script:1."
    );
    assert_eq!(
        text(
            "for i = 1, 1000 do local n = math.random(3, 5) assert(n >= 3 and n <= 5) end return 'x'"
        ),
        "x"
    );
}

#[test]
fn cjson_encodes() {
    for (value, json) in [
        ("{1, 2, 3}", "[1,2,3]"),
        ("{}", "{}"),
        ("{a=1}", "{\"a\":1}"),
        ("{[1]=1, [2]=2, [4]=4}", "[1,2,null,4]"),
        ("'a/b\"c\\\\d'", "\"a\\/b\\\"c\\\\d\""),
        ("'\\1\\127'", "\"\\u0001\\u007f\""),
        ("1e15", "1e+15"),
        ("100", "100"),
        ("0.1", "0.1"),
        ("3.1415926535897932", "3.1415926535898"),
        ("cjson.null", "null"),
        ("nil", "null"),
        ("true", "true"),
        ("{[1.5]=1}", "{\"1.5\":1}"),
    ] {
        assert_eq!(text(&format!("return cjson.encode({value})")), json, "{value}");
    }
    for (script, problem) in [
        ("cjson.encode({[1]=1, [100]=1})", "Cannot serialise table: excessively sparse array"),
        ("cjson.encode(function() end)", "Cannot serialise function: type not supported"),
        ("cjson.encode(1/0)", "Cannot serialise number: must not be NaN or Inf"),
        (
            "cjson.encode({[true]=1})",
            "Cannot serialise boolean: table key must be a number or string",
        ),
        ("local a = {} a[1] = a cjson.encode(a)", "Cannot serialise, excessive nesting (1001)"),
        ("cjson.encode()", "bad argument #1 to 'encode' (expected 1 argument)"),
        (
            "cjson.encode_number_precision(20)",
            "bad argument #1 to 'encode_number_precision' (expected integer between 1 and 14)",
        ),
    ] {
        assert_eq!(
            eval(script),
            format!("-ERR user_script:1: {problem} script: SHA, on @user_script:1."),
            "{script}"
        );
    }
    for (script, json) in [
        (
            "cjson.encode_sparse_array(true) return cjson.encode({[1]=1, [100]=1})",
            "{\"1\":1,\"100\":1}",
        ),
        ("cjson.encode_invalid_numbers('null') return cjson.encode({1/0})", "[null]"),
        ("cjson.encode_invalid_numbers(true) return cjson.encode({1/0, -1/0})", "[inf,-inf]"),
        ("cjson.encode_number_precision(3) return cjson.encode(math.pi)", "3.14"),
        (
            "local c = cjson.new() c.encode_number_precision(3) return c.encode(math.pi) .. cjson.encode(1/3)",
            "3.140.33333333333333",
        ),
    ] {
        let found = text(script);
        assert!(
            found == json || script.contains("{[1]=1, [100]") && found.len() == json.len(),
            "{script}: {found}"
        );
    }
}

#[test]
fn cjson_decodes() {
    for (script, shown) in [
        (
            "return cjson.encode(cjson.decode('[1, 2.5, \"x\", true, null, {\"a\": []}]'))",
            "[1,2.5,\"x\",true,null,{\"a\":{}}]",
        ),
        (
            "return cjson.decode('\"\\\\u00e9\\\\ud83d\\\\ude00\"')",
            "\\xc3\\xa9\\xf0\\x9f\\x98\\x80",
        ),
        ("return tostring(cjson.decode('[0x10]')[1])", "16"),
        ("return tostring(cjson.decode('null') == cjson.null)", "true"),
        ("return tostring(cjson.decode(' 1 '))", "1"),
        (
            "return select(2, pcall(cjson.decode, '[1,]'))",
            "Expected value but found T_ARR_END at character 4",
        ),
        (
            "return select(2, pcall(cjson.decode, '{\"a\" 1}'))",
            "Expected colon but found T_NUMBER at character 6",
        ),
        (
            "return select(2, pcall(cjson.decode, '{\"a\":1 2}'))",
            "Expected comma or object end but found T_NUMBER at character 8",
        ),
        (
            "return select(2, pcall(cjson.decode, '[1 2]'))",
            "Expected comma or array end but found T_NUMBER at character 4",
        ),
        (
            "return select(2, pcall(cjson.decode, '1 2'))",
            "Expected the end but found T_NUMBER at character 3",
        ),
        (
            "return select(2, pcall(cjson.decode, ''))",
            "Expected value but found T_END at character 1",
        ),
        (
            "return select(2, pcall(cjson.decode, '\"a'))",
            "Expected value but found unexpected end of string at character 3",
        ),
        (
            "return select(2, pcall(cjson.decode, '\"\\\\x\"'))",
            "Expected value but found invalid escape code at character 2",
        ),
        (
            "return select(2, pcall(cjson.decode, ('['):rep(1001)))",
            "Found too many nested data structures (1001) at character 1001",
        ),
        (
            "cjson.decode_max_depth(1) return select(2, pcall(cjson.decode, '[[]]'))",
            "Found too many nested data structures (2) at character 2",
        ),
        (
            "cjson.decode_invalid_numbers(false) return select(2, pcall(cjson.decode, '01'))",
            "Expected value but found invalid number at character 1",
        ),
    ] {
        assert_eq!(text(script), shown, "{script}");
    }
}

#[test]
fn cmsgpack_packs_and_unpacks() {
    let hex = |value: &str| {
        text(&format!(
            "return (cmsgpack.pack({value}):gsub('.', function(c) return ('%02x'):format(c:byte()) end))"
        ))
    };
    for (value, bytes) in [
        ("1", "01"),
        ("-1", "ff"),
        ("-33", "d0df"),
        ("128", "cc80"),
        ("256", "cd0100"),
        ("65536", "ce00010000"),
        ("4294967296", "cf0000000100000000"),
        ("-129", "d1ff7f"),
        ("-32769", "d2ffff7fff"),
        ("-2147483649", "d3ffffffff7fffffff"),
        ("1.5", "ca3fc00000"),
        ("0.1", "cb3fb999999999999a"),
        ("nil", "c0"),
        ("true, false", "c3c2"),
        ("'abc'", "a3616263"),
        ("{1, 2}", "920102"),
        ("{}", "90"),
        ("{a=1}", "81a16101"),
        ("function() end", "c0"),
    ] {
        assert_eq!(hex(value), bytes, "{value}");
    }
    for (script, shown) in [
        (
            "return cjson.encode({cmsgpack.unpack(cmsgpack.pack({1, 'a', {b=2}}, 7))})",
            "[[1,\"a\",{\"b\":2}],7]",
        ),
        ("return cjson.encode({cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3))})", "[1,1]"),
        ("return cjson.encode({cmsgpack.unpack_one(cmsgpack.pack(1, 2, 3), 2)})", "[-1,3]"),
        ("return cjson.encode({cmsgpack.unpack_limit(cmsgpack.pack(1, 2, 3), 2)})", "[2,1,2]"),
        ("return select(2, pcall(cmsgpack.unpack, '\\220\\0'))", "Missing bytes in input."),
        ("return select(2, pcall(cmsgpack.unpack, '\\193'))", "Bad data format in input."),
        (
            "return select(2, pcall(cmsgpack.unpack, '\\221\\255\\255\\255\\255'))",
            "Missing bytes in input.",
        ),
        (
            "return select(2, pcall(cmsgpack.unpack_one, 'a', 5))",
            "Start offset 5 greater than input length 1.",
        ),
        (
            "return select(2, pcall(cmsgpack.pack))",
            "bad argument #0 to 'pack' (MessagePack pack needs input.)",
        ),
        ("local a = {} a[1] = a return tostring(#cmsgpack.pack(a))", "17"),
    ] {
        assert_eq!(text(script), shown, "{script}");
    }
}

#[test]
fn struct_packs_and_unpacks() {
    let hex = |arguments: &str| {
        text(&format!(
            "return (struct.pack({arguments}):gsub('.', function(c) return ('%02x'):format(c:byte()) end))"
        ))
    };
    for (arguments, bytes) in [
        ("'>I', 1", "00000001"),
        ("'<I2', 258", "0201"),
        ("'b', -1", "ff"),
        ("'>l', -2", "fffffffffffffffe"),
        ("'>d', 1.5", "3ff8000000000000"),
        ("'<f', 1.5", "0000c03f"),
        ("'s', 'ab'", "616200"),
        ("'c2', 'abc'", "6162"),
        ("'c0', 'abc'", "616263"),
        ("'!4 b i', 1, 2", "0100000002000000"),
        ("'x'", "00"),
    ] {
        assert_eq!(hex(arguments), bytes, "{arguments}");
    }
    for (script, shown) in [
        ("return table.concat({struct.unpack('>I2bs', '\\1\\2\\255abc\\0')}, ',')", "258,-1,abc,8"),
        ("return table.concat({struct.unpack('bc0', '\\3abcd')}, ',')", "abc,5"),
        ("return table.concat({struct.unpack('>i3', '\\255\\255\\254')}, ',')", "-2,4"),
        ("return tostring(struct.size('!8 b d'))", "16"),
        (
            "return select(2, pcall(struct.unpack, '>I4', 'abc'))",
            "bad argument #2 to 'unpack' (data string too short)",
        ),
        (
            "return select(2, pcall(struct.pack, 'i33', 1))",
            "integral size 33 is larger than limit of 32",
        ),
        ("return select(2, pcall(struct.pack, 'i99999999999', 1))", "integral size overflow"),
        ("return select(2, pcall(struct.pack, '!3', 1))", "alignment 3 is not a power of 2"),
        (
            "return select(2, pcall(struct.pack, 'z', 1))",
            "bad argument #1 to 'pack' (invalid format option 'z')",
        ),
        (
            "return select(2, pcall(struct.unpack, 'c0', 'abc'))",
            "format 'c0' needs a previous size",
        ),
        ("return select(2, pcall(struct.unpack, 's', 'abc'))", "unfinished string in data"),
        (
            "return select(2, pcall(struct.unpack, 'b', 'abc', 0))",
            "bad argument #3 to 'unpack' (offset must be 1 or greater)",
        ),
        (
            "return select(2, pcall(struct.size, 's'))",
            "bad argument #1 to 'size' (option 's' has no fixed size)",
        ),
    ] {
        assert_eq!(text(script), shown, "{script}");
    }
}

#[test]
fn bits_are_those_of_32() {
    for (script, shown) in [
        ("bit.tobit(0xffffffff)", "-1"),
        ("bit.tobit(0x123456789abcd)", "1737075661"),
        ("bit.bnot(0)", "-1"),
        ("bit.band(0xff, 0x0f, 0x3)", "3"),
        ("bit.bor(1, 2, 4)", "7"),
        ("bit.bxor(0xa5a5f0f0, 0xaa55ff00)", "267390960"),
        ("bit.lshift(1, 33)", "2"),
        ("bit.rshift(-256, 8)", "16777215"),
        ("bit.arshift(-256, 8)", "-1"),
        ("bit.rol(0x12345678, 12)", "1164411171"),
        ("bit.ror(0x12345678, 12)", "1736516421"),
        ("bit.bswap(0x12345678)", "2018915346"),
        ("bit.tohex(-1)", "ffffffff"),
        ("bit.tohex(255, 4)", "00ff"),
        ("bit.tohex(255, -4)", "00FF"),
        ("bit.tohex(65535, -2147483648)", "0000FFFF"),
    ] {
        assert_eq!(text(&format!("return tostring({script})")), shown, "{script}");
    }
    assert!(
        eval("bit.band()").contains("bad argument #1 to 'band' (number expected, got no value)")
    );
}

#[test]
fn tables_have_more_values_than_can_be_lent_at_a_time() {
    let numbered = "local t = {} for i = 1, 20000 do t[i] = string.format('%05d', 20001 - i) end ";
    let named = "local t = {} for i = 1, 20000 do t['k' .. i] = 'v' .. i end ";
    for (rest, expected) in [
        ("table.sort(t) return t[1] .. t[10000] .. t[20000]", "000011000020000"),
        ("table.sort(t, function(a, b) return a > b end) return t[1] .. t[20000]", "2000000001"),
        ("t[20001] = 1 return tostring(pcall(table.sort, t))", "false"),
        ("return tostring(#cjson.encode(t))", "160001"),
    ] {
        assert_eq!(text(&format!("{numbered} {rest}")), expected, "{rest}");
    }
    for rest in ["cjson.decode(cjson.encode(t))", "cmsgpack.unpack(cmsgpack.pack(t))"] {
        assert_eq!(text(&format!("{named} return {rest}.k20000")), "v20000", "{rest}");
    }
    let mut engine = engine();
    let script = format!("{named} redis.setresp(3) return {{map = t}}");
    let reply = run_with(&mut engine, &mut Server::new(), &script, &[], &[], Protocol::Resp3);
    let reply = reply.unwrap();
    assert!(reply.starts_with(b"%20000\r\n"));
    assert_eq!(reply.split(|byte| *byte == b'v').count(), 20_001);
    let script = format!("{named} redis.setresp(3) return {{set = t}}");
    let reply = run_with(&mut engine, &mut Server::new(), &script, &[], &[], Protocol::Resp3);
    let reply = reply.unwrap();
    assert!(reply.starts_with(b"~20000\r\n"));
    assert_eq!(reply.split(|byte| *byte == b'k').count(), 20_001);
}

#[test]
fn there_are_more_functions_than_can_be_lent_at_a_time() {
    let mut engine = engine();
    let mut server = Server::new();
    let mut libraries = Vec::new();
    for number in 0..9000 {
        let body = format!(
            "redis.register_function('f{number}', function(keys) return keys[1] .. {number} end)"
        );
        libraries.push(engine.load_library(body.as_bytes(), &mut server).unwrap());
    }
    // What takes the place of a library that is gone is not mistaken for it.
    drop(libraries.remove(100));
    let body = b"redis.register_function('new', function(keys) return 'new' end)";
    libraries.push(engine.load_library(body, &mut server).unwrap());
    for (place, expected) in [(0, "k0"), (100, "k101"), (8998, "k8999"), (8999, "new")] {
        let (keys, args) = (arguments(&[b"k"]), arguments(&[]));
        let run = RunArguments { keys: keys.as_args(), args: args.as_args(), name: "f" };
        let mut output = Output::new();
        let mut reply = ReplyWriter::new(&mut output, Protocol::Resp2);
        engine.run_function(&libraries[place][0], run, &mut server, &mut reply).unwrap();
        let expected = format!("${}\r\n{expected}\r\n", expected.len());
        assert_eq!(output.to_vec(), expected.as_bytes());
    }
}
