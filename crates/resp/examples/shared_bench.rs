//! From which size on it pays to hand a value to the kernel where it lies, instead of copying it into
//! the output first.
//!
//! ```sh
//! cargo run --release -p darter-resp --example shared_bench
//! ```
//!
//! Prints the CPU time of the sending thread per value, in nanoseconds, over a loopback connection (Linux
//! only: it is read from `/proc`). The best of several runs.

#![expect(clippy::print_stdout, reason = "a tool for the terminal")]

use darter_base::SharedBytes;
use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};

use darter_resp::Output;

const RUNS: usize = 5;
const VALUES_BYTES: usize = 32 << 20;
const SENT_BYTES: usize = 128 << 20;

fn thread_cpu_nanos() -> Result<u64, std::io::Error> {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(times.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn send(stream: &mut TcpStream, out: &mut Output) -> Result<(), std::io::Error> {
    while !out.is_empty() {
        let mut slices = [IoSlice::new(&[]); 64];
        let filled = out.io_slices(&mut slices);
        let sent = match &slices[..filled] {
            [one] => stream.write(one)?,
            many => stream.write_vectored(many)?,
        };
        out.advance(sent);
    }
    Ok(())
}

/// CPU time per value.
fn run(
    stream: &mut TcpStream,
    values: &[SharedBytes],
    batch: usize,
    share: bool,
) -> Result<u64, std::io::Error> {
    let mut out = Output::new();
    let batches = SENT_BYTES / values[0].len() / batch;
    let mut next = 0;
    let start = thread_cpu_nanos()?;
    for _ in 0..batches {
        for _ in 0..batch {
            // Far from the last one, so that not all of them come from the nearest cache.
            next = (next + 7919) % values.len();
            out.extend(b"$00000\r\n");
            if share {
                out.push_shared(values[next].clone());
            } else {
                out.extend(&values[next]);
            }
            out.extend(b"\r\n");
        }
        send(stream, &mut out)?;
    }
    Ok((thread_cpu_nanos()? - start) / (batches * batch) as u64)
}

#[expect(clippy::disallowed_methods, reason = "the other end of the connection is a thread")]
fn main() -> Result<(), std::io::Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        let mut buffer = vec![0; 1 << 20];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    let (mut stream, _) = listener.accept()?;
    for size in (10..=16).map(|power| 1_usize << power) {
        let values: Vec<_> =
            (0..VALUES_BYTES / size).map(|_| SharedBytes::from(vec![b'v'; size])).collect();
        for batch in [1, 10] {
            let (mut copied, mut shared) = (u64::MAX, u64::MAX);
            for _ in 0..RUNS {
                copied = copied.min(run(&mut stream, &values, batch, false)?);
                shared = shared.min(run(&mut stream, &values, batch, true)?);
            }
            println!("{size:>6} bytes, {batch:>2} at once: copied {copied:>6}, shared {shared:>6}");
        }
    }
    Ok(())
}
