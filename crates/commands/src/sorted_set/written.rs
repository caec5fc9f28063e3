//! Members and scores in replies.

use crate::reply::write_item;
use darter_resp::ReplyWriter;
use darter_value::Item;

/// How members with their scores are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Members only.
    Bare,
    /// Member and score in turn.
    Flat,
    /// An array of two for each member.
    Pairs,
}

impl Shape {
    /// That of WITHSCORES: RESP3 has pairs.
    pub(crate) fn with_scores(reply: &ReplyWriter<'_>) -> Self {
        if reply.is_resp3() { Self::Pairs } else { Self::Flat }
    }

    /// As [`with_scores`](Self::with_scores) if they are `wanted`.
    pub(crate) fn of(reply: &ReplyWriter<'_>, wanted: bool) -> Self {
        if wanted { Self::with_scores(reply) } else { Self::Bare }
    }

    /// The header of an array of `count` members.
    pub(crate) fn begin(self, reply: &mut ReplyWriter<'_>, count: usize) {
        reply.array(if self == Self::Flat { count.saturating_mul(2) } else { count });
    }

    /// One member.
    #[inline]
    pub(crate) fn write(self, reply: &mut ReplyWriter<'_>, member: Item<'_>, score: f64) {
        if self == Self::Pairs {
            reply.array(2);
        }
        write_item(reply, member);
        if self != Self::Bare {
            reply.double(score);
        }
    }
}
