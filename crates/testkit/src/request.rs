//! Requests as bytes: a command is a list of arguments, nothing more.

/// A command's name and arguments, any bytes.
pub type Command = Vec<Vec<u8>>;

/// The command whose words are separated by single spaces; for literals in code.
pub fn words(text: &str) -> Command {
    text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

/// Appends the multibulk form of a command to `out`.
pub fn encode<A: AsRef<[u8]>>(arguments: &[A], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len()).as_bytes());
    for argument in arguments {
        let argument = argument.as_ref();
        out.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        out.extend_from_slice(argument);
        out.extend_from_slice(b"\r\n");
    }
}

/// The command at the start of `input`, and its length in bytes; `None` when it is not whole.
/// Only well-formed multibulk requests are understood, as the harness itself sends them.
pub fn decode(input: &[u8]) -> Option<(Command, usize)> {
    let mut at = 0;
    let count = header(input, &mut at, b'*')?;
    let mut command = Vec::with_capacity(count.min(1024));
    for _ in 0..count {
        let length = header(input, &mut at, b'$')?;
        command.push(input.get(at..at + length)?.to_vec());
        at += length + 2;
    }
    (at <= input.len()).then_some((command, at))
}

fn header(input: &[u8], at: &mut usize, kind: u8) -> Option<usize> {
    let rest = input.get(*at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let digits = rest[..end].strip_prefix(&[kind])?;
    *at += end + 2;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_encoding_and_is_incomplete_until_its_last_byte() {
        let command: Command = vec![b"SET".to_vec(), b"a\r\n$b".to_vec(), Vec::new()];
        let mut bytes = Vec::new();
        encode(&command, &mut bytes);
        assert_eq!(decode(&bytes), Some((command, bytes.len())));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None);
        }
    }
}
