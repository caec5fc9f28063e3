//! Effects that commands of several families leave.

use darter_base::number::format_i64;
use darter_command_table::{Call, Effects};
use darter_resp::Args;
use darter_shard::Deadline;

/// Elements named by one command that is left: those of very many are spread over several.
const ELEMENTS_PER_COMMAND: usize = 1024;

/// Leaves that `key` was deleted, which is what the command is for.
pub(crate) fn leave_deletion(call: &mut Call<'_>, key: &[u8]) {
    call.leave(|effects| effects.add(&[b"DEL", key]));
}

/// Leaves that `key` was given a deadline that had passed.
pub(crate) fn leave_expired(call: &mut Call<'_>, key: &[u8]) {
    call.leave(|effects| effects.add_expired(key));
}

/// Leaves when `key` expires.
pub(crate) fn leave_deadline(call: &mut Call<'_>, key: &[u8], deadline: Deadline) {
    call.leave(|effects| {
        effects.add(&[b"PEXPIREAT", key, format_i64(deadline.millis()).as_bytes()]);
    });
}

/// Adds the command `name` on `key` and `elements`; nothing if there are none.
pub(crate) fn add_with_elements(
    effects: &mut Effects,
    name: &[u8],
    key: &[u8],
    elements: Args<'_>,
) {
    let mut left = elements;
    while !left.is_empty() {
        let count = left.len().min(ELEMENTS_PER_COMMAND);
        effects.add_with(&[name, key], left.head(count).iter());
        left = left.tail(count);
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::transcript;

    #[test]
    fn times_are_points_in_time() {
        transcript(
            r"
            SET k v                     => +OK ~> SET k v
            SET k v EX 10               => +OK ~> SET k v PXAT 1700000010000
            SET k w KEEPTTL GET         => $1 v ~> SET k w KEEPTTL
            SET k v NX                  => $-1 ~>
            SET k v XX PXAT 1           => +OK ~> UNLINK k
            SET k v PXAT 1              => +OK ~>
            SETEX k 10 v                => +OK ~> SET k v PXAT 1700000010000
            PSETEX k 10 v               => +OK ~> SET k v PXAT 1700000000010
            GETEX k EX 5                => $1 v ~> PEXPIREAT k 1700000005000
            GETEX k                     => $1 v ~>
            GETEX k PERSIST             => $1 v ~> PERSIST k
            GETEX k PERSIST             => $1 v ~>
            EXPIRE k 5 NX               => :1 ~> PEXPIREAT k 1700000005000
            EXPIRE k 5 NX               => :0 ~>
            EXPIREAT k 1700000006       => :1 ~> PEXPIREAT k 1700000006000
            PERSIST k                   => :1 ~> PERSIST k
            PEXPIRE k -1                => :1 ~> UNLINK k
            MSETEX 2 a 1 b 2 PX 5       => :1 ~> SET a 1 PXAT 1700000000005 ; SET b 2 PXAT 1700000000005
            MSETEX 1 a 1 NX             => :0 ~>
            @time +6
            GET a                       => $-1 ~> UNLINK a
            INCR b                      => :1 ~> UNLINK b ; INCR b
            ",
        );
    }

    #[test]
    fn values_are_what_came_of_it() {
        transcript(
            r"
            INCR k                      => :1 ~> INCR k
            INCRBYFLOAT k 0.5           => $3 1.5 ~> SET k 1.5 KEEPTTL
            INCREX k BYFLOAT 1 PX 5     => *2 $3 2.5 $1 1 ~> SET k 2.5 PXAT 1700000000005
            SET k 1 IFEQ 2.5            => +OK ~> SET k 1
            GETSET k v                  => $1 1 ~> SET k v
            DELIFEQ k w                 => :0 ~>
            DELIFEQ k v                 => :1 ~> DEL k
            SET k v                     => +OK ~> SET k v
            GETDEL k                    => $1 v ~> DEL k
            GETDEL k                    => $-1 ~>
            PFADD h a                   => :1 ~> PFADD h a
            PFCOUNT h                   => :1 ~> PFCOUNT h
            PFCOUNT h                   => :1 ~>
            BITFIELD b OVERFLOW FAIL INCRBY u4 0 16 => *1 $-1 ~> BITFIELD b OVERFLOW FAIL INCRBY u4 0 16
            BITFIELD b OVERFLOW FAIL INCRBY u4 0 16 => *1 $-1 ~>
            SADD s a                    => :1 ~> SADD s a
            SADD s a                    => :0 ~>
            SPOP s                      => $1 a ~> SREM s a
            SADD s a b                  => :2 ~> SADD s a b
            SPOP s 5                    => *2 $1 a $1 b ~> UNLINK s
            FLUSHALL                    => +OK ~> FLUSHALL
            ",
        );
    }

    #[test]
    fn commands_that_wait_are_those_that_do_not() {
        transcript(
            r"
            RPUSH l a b c d e f         => :6 ~> RPUSH l a b c d e f
            BLPOP none l 1              => *2 $1 l $1 a ~> LPOP l
            BRPOP l 1                   => *2 $1 l $1 f ~> RPOP l
            LMPOP 2 none l LEFT COUNT 2 => *2 $1 l *2 $1 b $1 c ~> LPOP l 2
            BLMOVE l m RIGHT LEFT 1     => $1 e ~> LMOVE l m right left
            BRPOPLPUSH l l 1            => $1 d ~> RPOPLPUSH l l
            BLMPOP 1 1 l RIGHT COUNT 9  => *2 $1 l *1 $1 d ~> RPOP l 1
            BLPOP l 1                   => *-1 ~>
            ZADD z 1 a 2 b 3 c 4 d      => :4 ~> ZADD z 1 a 2 b 3 c 4 d
            BZPOPMIN none z 1           => *3 $1 z $1 a $1 1 ~> ZPOPMIN z
            ZMPOP 1 z MAX COUNT 2       => *2 $1 z *2 *2 $1 d $1 4 *2 $1 c $1 3 ~> ZPOPMAX z 2
            BZMPOP 1 1 z MIN            => *2 $1 z *1 *2 $1 b $1 2 ~> ZPOPMIN z 1
            ",
        );
    }

    #[test]
    fn fields_that_have_expired_are_not_touched_again() {
        transcript(
            r"
            HSETEX h PX 5 FIELDS 3 a 1 b 2 c 3 => :1 ~> HSETEX h PXAT 1700000000005 FIELDS 3 a 1 b 2 c 3
            HSET h d 4                  => :1 ~> HSET h d 4
            HINCRBYFLOAT h d 0.5        => $3 4.5 ~> HSET h d 4.5
            HINCRBY h a 1               => :2 ~> HSETEX h KEEPTTL FIELDS 1 a 2
            HPEXPIRE h 10 FIELDS 2 none a => *2 :-2 :1 ~> HPEXPIREAT h 1700000000010 FIELDS 1 a
            HPERSIST h FIELDS 2 a d     => *2 :1 :-1 ~> HPERSIST h FIELDS 1 a
            HGETEX h PX 5 FIELDS 2 a d  => *2 $1 2 $3 4.5 ~> HPEXPIREAT h 1700000000005 FIELDS 2 a d
            @time +6
            HPERSIST h FIELDS 1 a       => *1 :-2 ~>
            HDEL h a                    => :0 ~>
            HSETNX h a 5                => :1 ~> HSET h a 5
            HSETEX h KEEPTTL FIELDS 2 a 6 b 7 => :1 ~> HSET h b 7 ; HSETEX h KEEPTTL FIELDS 2 a 6 b 7
            HGETDEL h FIELDS 2 c a      => *2 $-1 $1 6 ~> HDEL h a
            @expire
            HDEL h b d                  => :1 ~> HDEL h b
            EXISTS h                    => :0 ~>
            ",
        );
    }

    #[test]
    fn what_a_group_remembers_is_told() {
        transcript(
            r"
            XADD x * f v                => $15 1700000000000-0 ~> XADD x 1700000000000-0 f v
            XADD x 1700000000000-* f v  => $15 1700000000000-1 ~> XADD x 1700000000000-1 f v
            XADD x MAXLEN 2 1700000000000-2 f v => $15 1700000000000-2 ~> XADD x MAXLEN 2 1700000000000-2 f v
            XADD x NOMKSTREAM MAXLEN 2 * f v => $15 1700000000000-3 ~> XADD x MINID = 1700000000000-2 1700000000000-3 f v
            XADD x MAXLEN ~ 2 1700000000000-4 f v => $15 1700000000000-4 ~> XADD x 1700000000000-4 f v
            XTRIM x MAXLEN ~ 1          => :0 ~>
            XGROUP CREATE x g 0         => +OK ~> XGROUP CREATE x g 0
            XREADGROUP GROUP g c COUNT 1 STREAMS x > => *1 *2 $1 x *1 *2 $15 1700000000000-2 *2 $1 f $1 v ~> XGROUP CREATECONSUMER x g c ; XGROUP SETID x g 1700000000000-2 ENTRIESREAD 3 ; XCLAIM x g c 0 1700000000000-2 TIME 1700000000000 RETRYCOUNT 1 FORCE JUSTID
            XREADGROUP GROUP g c NOACK COUNT 1 STREAMS x > => *1 *2 $1 x *1 *2 $15 1700000000000-3 *2 $1 f $1 v ~> XGROUP SETID x g 1700000000000-3 ENTRIESREAD 4
            XREADGROUP GROUP g c STREAMS x 1700000000000-2 => *1 *2 $1 x *0 ~>
            XCLAIM x g d 0 1700000000000-2 IDLE 1000 JUSTID => *1 $15 1700000000000-2 ~> XGROUP CREATECONSUMER x g d ; XCLAIM x g d 0 1700000000000-2 TIME 1699999999000 RETRYCOUNT 1 FORCE JUSTID
            XDEL x 1700000000000-2      => :1 ~> XDEL x 1700000000000-2
            XAUTOCLAIM x g c 0 -        => *3 $3 0-0 *0 *1 $15 1700000000000-2 ~> XACK x g 1700000000000-2
            XAUTOCLAIM x g c 0 -        => *3 $3 0-0 *0 *0 ~>
            XREADGROUP GROUP g c COUNT 1 STREAMS none > => -NOGROUP No such key 'none' or consumer group 'g' in XREADGROUP with GROUP option ~>
            ",
        );
    }

    #[test]
    fn what_depends_on_expired_fields_is_told_by_its_result() {
        transcript(
            r#"
            HSETEX w PX 5 FIELDS 1 a 1  => :1
            HSET w b 2                  => :1
            RPUSH l x y                 => :2
            @time +6
            SORT l BY nosort GET w*->a STORE d => :2 ~> RPUSH d "" ""
            SORT l BY nosort STORE d    => :2 ~> SORT l BY nosort STORE d
            SORT none BY w*->a STORE d  => :0 ~> DEL d
            "#,
        );
    }
}
