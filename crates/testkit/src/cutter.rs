//! A cable that can be cut: it stands between a replica and its primary.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes on what comes over connections to it, to and from one server, until it is cut. Ends with the test process.
#[derive(Debug)]
pub struct Cutter {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Both ends of what is connected.
    connected: Mutex<Vec<TcpStream>>,
    /// Connections so far.
    count: AtomicU64,
    /// Bytes from the server that pass before the next cut; negative: any number.
    left: AtomicI64,
    /// Which byte of those is another one than it was, counted down; negative: none.
    spoils: AtomicI64,
}

impl Cutter {
    /// Listens on a free port, for connections to `upstream`.
    pub fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            left: AtomicI64::new(-1),
            spoils: AtomicI64::new(-1),
            ..Shared::default()
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                // Nobody listens: whoever has connected is cut off.
                if let Ok(far) = TcpStream::connect(upstream) {
                    accepting.join(near, far);
                }
            }
        });
        Ok(Self { address, shared })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections so far.
    pub fn connections(&self) -> u64 {
        self.shared.count.load(Ordering::SeqCst)
    }

    /// Cuts whatever is connected.
    pub fn cut(&self) {
        self.shared.cut();
    }

    /// Cuts whatever is connected when so many more bytes have come from the server.
    pub fn cut_after(&self, bytes: u32) {
        self.shared.left.store(bytes.into(), Ordering::SeqCst);
    }

    /// Changes the byte from the server that comes behind so many.
    pub fn spoil_after(&self, bytes: u32) {
        self.shared.spoils.store(bytes.into(), Ordering::SeqCst);
    }
}

impl Shared {
    fn join(self: &Arc<Self>, near: TcpStream, far: TcpStream) {
        let copies = [&near, &far, &near, &far].map(TcpStream::try_clone);
        let [Ok(near_again), Ok(far_again), Ok(near_end), Ok(far_end)] = copies else { return };
        self.connected.lock().unwrap_or_else(PoisonError::into_inner).extend([near_end, far_end]);
        self.count.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(self);
        thread::spawn(move || pass_on(far_again, near, |bytes| shared.look_at(bytes)));
        thread::spawn(move || pass_on(near_again, far, |_| true));
    }

    /// Looks at bytes from the server; whether they are passed on.
    fn look_at(&self, bytes: &mut [u8]) -> bool {
        let count = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let spoils = self.spoils.load(Ordering::SeqCst);
        if spoils >= 0 {
            self.spoils.store(spoils - count, Ordering::SeqCst);
            if let Some(byte) = usize::try_from(spoils).ok().and_then(|at| bytes.get_mut(at)) {
                *byte ^= 0x55;
                self.spoils.store(-1, Ordering::SeqCst);
            }
        }
        let left = self.left.load(Ordering::SeqCst);
        if left < 0 {
            return true;
        }
        self.left.store((left - count).max(0), Ordering::SeqCst);
        if left <= count {
            self.left.store(-1, Ordering::SeqCst);
            self.cut();
            return false;
        }
        true
    }

    fn cut(&self) {
        for end in self.connected.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // It may have ended by itself.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

/// Passes on what comes until there is no more of it, or `look` has had enough.
fn pass_on(mut from: TcpStream, mut to: TcpStream, look: impl Fn(&mut [u8]) -> bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let bytes = &mut buffer[..count];
        if !look(bytes) || to.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
