//! LOLWUT: a picture, different each time, of what the server is about: darts in a board of shards.

use crate::session_command::{Flow, SessionCall, SessionCommand, SessionResult};
use darter_base::number::parse_i64;
use darter_command_table::{Arg, Arity, Category, Command, Flags, Group, Handler, ReplyError};

/// The command of this file.
pub static COMMANDS: &[&SessionCommand] = &[&LOLWUT];

/// A picture.
pub static LOLWUT: SessionCommand = SessionCommand::alone(
    Command {
        name: "LOLWUT",
        group: Group::Server,
        since: "5.0.0",
        summary: "A picture, and the version of the server.",
        complexity: "O(N) where N is the size of the picture",
        arity: Arity::AtLeast(1),
        flags: Flags::READONLY.and(Flags::FAST),
        acl: Category::READ,
        args: &[Arg::integer("version").token("VERSION").optional()],
        handler: Handler::Session,
        ..Command::BASE
    },
    lolwut,
);

/// Rows of the picture unless told otherwise; a letter is twice as high as it is wide.
const RADIUS: i64 = 11;

/// The largest picture.
const RADIUS_MAX: i64 = 40;

/// Darts thrown at it.
const DARTS: usize = 24;

fn lolwut(call: &mut SessionCall<'_>) -> SessionResult {
    let mut numbers = call.args.tail(1);
    if numbers.len() >= 2 && numbers.at(0).eq_ignore_ascii_case(b"VERSION") {
        parse_i64(numbers.at(1)).ok_or(ReplyError::NotAnInteger)?;
        numbers = numbers.tail(2);
    }
    let mut radius = RADIUS;
    for (index, number) in numbers.iter().enumerate() {
        let number = parse_i64(number).ok_or(ReplyError::NotAnInteger)?;
        if index == 0 {
            radius = number.clamp(1, RADIUS_MAX);
        }
    }
    let seed = call.now_micros().cast_unsigned();
    let shards = i64::from(call.shared.router().shard_count());
    let text = format!(
        "{}\nEvery dart finds its shard. Darter ver. {}\n",
        board(radius, shards, seed),
        call.shared.identity.version
    );
    call.text(&text)?;
    Ok(Flow::Next)
}

/// A dartboard with a sector for each shard.
fn board(radius: i64, shards: i64, seed: u64) -> String {
    const SHADES: [char; 4] = ['.', ':', '-', '+'];
    let mut random = Random(seed);
    let width = 2 * radius + 1;
    let size = usize::try_from(width * width).unwrap_or(0);
    let mut hits = vec![false; size];
    for _ in 0..DARTS {
        let place = random.below(width * width);
        if let Some(hit) = usize::try_from(place).ok().and_then(|place| hits.get_mut(place)) {
            *hit = true;
        }
    }
    let mut text = String::new();
    for row in -radius..=radius {
        let mut line = String::new();
        for column in -radius..=radius {
            let distance = row * row + column * column;
            let place = usize::try_from((row + radius) * width + column + radius).unwrap_or(0);
            let letter = if distance > radius * radius {
                ' '
            } else if hits[place] {
                '*'
            } else if distance <= 1 {
                '@'
            } else {
                let ring = distance * 3 / (radius * radius + 1);
                let shade = (sector(row, column, shards) + ring) % 4;
                SHADES[usize::try_from(shade).unwrap_or(0)]
            };
            // Two letters are about as wide as one is high.
            line.push(letter);
            line.push(letter);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// In which of so many sectors around the middle a place lies. The angle is measured along a square:
/// that needs no sine.
fn sector(row: i64, column: i64, shards: i64) -> i64 {
    const TURN: i64 = 4 << 16;
    let length = (row.abs() + column.abs()).max(1);
    let part = (row << 16) / length;
    let angle = if column >= 0 { part + (1 << 16) } else { (3 << 16) - part };
    angle.rem_euclid(TURN) * shards.max(1) / TURN
}

/// Numbers that look random enough for a picture.
struct Random(u64);

impl Random {
    fn below(&mut self, end: i64) -> i64 {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        i64::try_from(self.0 >> 33).unwrap_or(0) % end.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_board_is_round_and_of_every_sector() {
        for shards in [1, 2, 16, 100] {
            let text = board(RADIUS, shards, 7);
            assert_eq!(text.lines().count(), 23);
            assert!(text.lines().all(|line| line.chars().count() <= 46));
            assert!(text.contains('*'));
        }
        for shards in 1..40 {
            for (row, column) in [(0, 0), (-9, 0), (9, 0), (0, -9), (0, 9), (3, -4)] {
                assert!((0..shards).contains(&sector(row, column, shards)), "{row} {column}");
            }
        }
    }

    #[test]
    fn another_moment_gives_another_picture() {
        assert_ne!(board(RADIUS, 4, 1), board(RADIUS, 4, 2));
        assert_eq!(board(1, 4, 1).lines().count(), 3);
    }
}
