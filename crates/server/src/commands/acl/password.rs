//! ACL GENPASS.

use super::{BASE, HARMLESS, too_many_arguments};
use crate::commands::error::ServerError;
use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Command};
use std::fmt::Write as _;

/// Makes a password up.
pub(super) static GENPASS: SessionCommand = SessionCommand::alone(
    Command {
        name: "GENPASS",
        summary: "Makes up a password that nobody can guess.",
        arity: Arity::AtLeast(2),
        flags: HARMLESS,
        args: &[Arg::integer("bits").optional()],
        ..BASE
    },
    make_password,
)
.within();

/// Bits of a password unless told otherwise.
const PASSWORD_BITS: usize = 256;

/// The longest password that is made up.
const PASSWORD_BITS_MAX: usize = 4096;

fn make_password(call: &mut SessionCall<'_>) -> SessionResult {
    let bits = match call.args.get(2) {
        _ if call.args.len() > 3 => return Err(too_many_arguments(call)),
        None => PASSWORD_BITS,
        Some(bits) => parse_i64(bits)
            .and_then(|bits| usize::try_from(bits).ok())
            .filter(|bits| (1..=PASSWORD_BITS_MAX).contains(bits))
            .ok_or(ServerError::PasswordBits)?,
    };
    let mut random = [0; PASSWORD_BITS_MAX / 8];
    let random = &mut random[..bits.div_ceil(8)];
    getrandom::fill(random).map_err(|_| ServerError::NoRandomness)?;
    let mut password = hexadecimal(random);
    password.truncate(bits.div_ceil(4));
    call.reply().bulk(password.as_bytes());
    Ok(Flow::Next)
}

/// Two digits for each byte.
pub(in crate::commands) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
