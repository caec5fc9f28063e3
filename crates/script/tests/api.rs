//! `redis.*`, replies in both directions, and the texts of errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod support;

use darter_resp::Protocol;
use support::{Server, engine, eval, eval_in, eval3, run_with, text};

#[test]
fn keys_and_arguments_are_tables() {
    let reply = run_with(
        &mut engine(),
        &mut Server::new(),
        "return {KEYS[1], KEYS[2], ARGV[1], #KEYS, #ARGV}",
        &[b"a", b"b"],
        &[b"x\0y"],
        Protocol::Resp2,
    );
    assert_eq!(reply.unwrap(), b"*5\r\n$1\r\na\r\n$1\r\nb\r\n$3\r\nx\0y\r\n:2\r\n:1\r\n");
}

#[test]
fn values_become_replies() {
    for (script, reply) in [
        ("return 'hello'", "$5|hello|"),
        ("return 100.99", ":100|"),
        ("return -3.99", ":-3|"),
        ("return true", ":1|"),
        ("return false", "$-1|"),
        ("return nil", "$-1|"),
        ("", "$-1|"),
        ("return {1, 2, nil, 4}", "*2|:1|:2|"),
        ("return {}", "*0|"),
        ("return {1, {2, 'x'}, {}}", "*3|:1|*2|:2|$1|x|*0|"),
        ("return {ok='fine'}", "+fine|"),
        ("return {ok='fi\\r\\nne'}", "+fi  ne|"),
        ("return {err='My Err'}", "-My Err|"),
        ("return {err='a', ok='b'}", "-a|"),
        ("return redis.status_reply('X')", "+X|"),
        ("return redis.error_reply('My Err')", "-My Err|"),
        ("return redis.error_reply('-My Err')", "-My Err|"),
        ("return redis.error_reply('Error')", "-ERR Error|"),
        ("return redis.error_reply()", "-ERR wrong number or type of arguments|"),
        ("return redis.status_reply(1)", "-ERR wrong number or type of arguments|"),
        ("return {double=3.5}", "$3|3.5|"),
        ("return {map={a=1}}", "*2|$1|a|:1|"),
        ("return {set={a=true}}", "*1|$1|a|"),
        ("return {big_number='12345678901234567890'}", "$20|12345678901234567890|"),
        ("return {verbatim_string={format='txt', string='hi'}}", "$2|hi|"),
        ("return function() end", "$-1|"),
        ("return cjson.null", "$-1|"),
    ] {
        assert_eq!(eval(script), reply, "{script}");
    }
}

#[test]
fn resp3_clients_see_types_scripts_name() {
    for (script, reply) in [
        ("return true", ":1|"),
        ("redis.setresp(3) return true", "#t|"),
        ("redis.setresp(3) return false", "#f|"),
        ("return false", "_|"),
        ("return {double=3.5}", ",3.5|"),
        ("return {map={a=1}}", "%1|$1|a|:1|"),
        ("return {set={a=true}}", "~1|$1|a|"),
        ("return {big_number='123'}", "(123|"),
        ("return {verbatim_string={format='txt', string='hi'}}", "=6|txt:hi|"),
        ("return nil", "_|"),
    ] {
        assert_eq!(eval3(script), reply, "{script}");
    }
}

#[test]
fn replies_become_values() {
    for (script, shown) in [
        ("return redis.call('ping').ok", "PONG"),
        ("return redis.call('echo', 12.5)", "12.5"),
        ("return redis.call('echo', 12)", "12"),
        ("return redis.call('echo', 1e15)", "1000000000000000"),
        ("return type(redis.call('null'))", "boolean"),
        ("redis.setresp(3) return type(redis.call('null'))", "nil"),
        ("return type(redis.call('noarray'))", "boolean"),
        ("return redis.call('double')", "1.5"),
        ("redis.setresp(3) return tostring(redis.call('double').double)", "1.5"),
        ("redis.setresp(3) return tostring(redis.call('map').map.k)", "1"),
        ("return table.concat(redis.call('map'), ',')", "k,1"),
        ("redis.setresp(3) return tostring(redis.call('bool'))", "true"),
        (
            "redis.setresp(3) return tostring(redis.call('raw', '~2\\r\\n+a\\r\\n$1\\r\\nb\\r\\n').set.b)",
            "true",
        ),
        ("redis.setresp(3) return redis.call('raw', '(123\\r\\n').big_number", "123"),
        (
            "redis.setresp(3) local v = redis.call('raw', '=6\\r\\ntxt:hi\\r\\n').verbatim_string return v.format .. v.string",
            "txthi",
        ),
        (
            "redis.setresp(3) return redis.call('raw', '|1\\r\\n+a\\r\\n:1\\r\\n$1\\r\\nx\\r\\n')",
            "x",
        ),
        (
            "return tostring(#redis.call('raw', '*3\\r\\n$1\\r\\na\\r\\n$-1\\r\\n*1\\r\\n:1\\r\\n'))",
            "3",
        ),
        ("return redis.pcall('fail').err", "WRONGTYPE not this"),
        ("return tostring(redis.pcall('fail').ignore_error_stats_update)", "true"),
        ("return redis.pcall('get', {}).err", "ERR Command arguments must be strings or integers"),
        ("return select(2, pcall(redis.call, 'fail'))", "WRONGTYPE not this"),
        ("return server.call('ping').ok", "PONG"),
        ("return redis.sha1hex('')", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("return redis.REDIS_VERSION .. ' ' .. redis.REDIS_VERSION_NUM", "7.2.4 459268"),
        (
            "return tostring(redis.replicate_commands()) .. tostring(redis.breakpoint())",
            "truefalse",
        ),
        (
            "return tostring(redis.acl_check_cmd('ping')) .. tostring(redis.acl_check_cmd('fail'))",
            "truefalse",
        ),
    ] {
        assert_eq!(text(script), shown, "{script}");
    }
}

#[test]
fn errors_have_their_texts() {
    for (script, line) in [
        ("error('boo')", "-ERR user_script:1: boo script: SHA, on @user_script:1."),
        ("error({err='My Err'})", "-My Err script: SHA, on @user_script:1."),
        ("error({})", "-ERR unknown error script: SHA, on @user_script:1."),
        ("error()", "-ERR nil script: SHA, on @user_script:1."),
        ("\nerror('x', 0)", "-ERR x script: SHA, on @user_script:2."),
        (
            "local x = 1 + {}",
            "-ERR user_script:1: attempt to perform arithmetic on a table value script: SHA, on @user_script:1.",
        ),
        ("return redis.call('fail')", "-WRONGTYPE not this script: SHA, on @user_script:1."),
        (
            "return redis.call('nosuch')",
            "-ERR Unknown command called from script script: SHA, on @user_script:1.",
        ),
        (
            "return redis.call()",
            "-ERR Please specify at least one argument for this call script: SHA, on @user_script:1.",
        ),
        ("redis.setresp(4)", "-ERR RESP version must be 2 or 3. script: SHA, on @user_script:1."),
        (
            "redis.setresp()",
            "-ERR server.setresp() requires one argument. script: SHA, on @user_script:1.",
        ),
        (
            "redis.log()",
            "-ERR server.log() requires two arguments or more. script: SHA, on @user_script:1.",
        ),
        ("redis.log(10, 'x')", "-ERR Invalid log level. script: SHA, on @user_script:1."),
        (
            "redis.set_repl(8)",
            "-ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE. script: SHA, on @user_script:1.",
        ),
        ("redis.sha1hex()", "-ERR wrong number of arguments script: SHA, on @user_script:1."),
        (
            "redis.acl_check_cmd('nosuch')",
            "-ERR Invalid command passed to server.acl_check_cmd() script: SHA, on @user_script:1.",
        ),
        (
            "return cjson.decode('{')",
            "-ERR user_script:1: Expected object key string but found T_END at character 2 script: SHA, on @user_script:1.",
        ),
        (
            "x = ",
            "-ERR Error compiling script (new function): user_script:1: unexpected symbol near '<eof>'",
        ),
        ("#!lua\nreturn 1", ":1|"),
        (
            "#!lua flags=no-writes,allow-oom\n\nerror('x')",
            "-ERR user_script:3: x script: SHA, on @user_script:3.",
        ),
        ("#!lua", "-ERR Invalid script shebang"),
        ("#!python\n", "-ERR Could not find scripting engine 'python'"),
        ("#!lua flags=x\n", "-ERR Unexpected flag in script shebang: x"),
        ("#!lua name=x\n", "-ERR Unknown lua shebang option: name=x"),
    ] {
        assert_eq!(eval(script), line, "{script}");
    }
}

#[test]
fn the_log_gets_lines() {
    let mut server = Server::new();
    let script = "redis.log(redis.LOG_WARNING, 'a', 1, 'b')";
    run_with(&mut engine(), &mut server, script, &[], &[], Protocol::Resp2).unwrap();
    assert_eq!(server.log, [(darter_script::LogLevel::Warning, "a 1 b".to_owned())]);
}

#[test]
fn scripts_that_nest_too_deeply_answer_so() {
    let script = "local a = {} local b = {a} a[1] = b return a";
    let reply = eval(script);
    assert!(reply.ends_with("|-ERR reached lua stack limit|"), "{}", &reply[reply.len() - 60..]);
}

#[test]
fn an_engine_can_be_used_after_errors() {
    let mut engine = engine();
    for _ in 0..200 {
        assert_eq!(eval_in(&mut engine, "return redis.pcall('fail')"), "-WRONGTYPE not this|");
        assert!(eval_in(&mut engine, "error({})").starts_with("-ERR unknown error"));
        assert_eq!(eval_in(&mut engine, "return 1"), ":1|");
    }
}
