//! Where the runtime listens, and changing that while it runs.

use crate::listener::{self, Listener};
use crate::{ListenerConfig, PeerAddress, StartError};
use std::sync::{Arc, Mutex, MutexGuard};

/// What is listened on, shared with whoever may change it. The acceptor on worker 0 holds the same
/// listeners.
#[derive(Debug, Default)]
pub(crate) struct Listening {
    places: Mutex<Vec<Place>>,
}

#[derive(Clone, Debug)]
struct Place {
    config: ListenerConfig,
    /// `None` when it is optional and not there.
    listener: Option<Arc<Listener>>,
}

/// The listeners of a configuration, in its order.
pub(crate) type Listeners = Vec<Option<Arc<Listener>>>;

impl Listening {
    /// Listens on `configs` and nothing else. What was listened on already goes on without a gap.
    /// An address that is in the way of a new one (`127.0.0.1` after `*`) is given up first; if the
    /// new one fails nevertheless, everything is as it was before.
    ///
    /// `opened` hears of the addresses when all are open and nobody has been accepted yet. `publish`
    /// gets the new listeners for the acceptor, before anybody else can change them.
    pub(crate) fn change(
        &self,
        configs: &[ListenerConfig],
        opened: impl FnOnce(&[Option<PeerAddress>]),
        publish: impl FnOnce(Listeners),
    ) -> Result<Vec<Option<PeerAddress>>, StartError> {
        let mut places = self.lock();
        let (changed, outcome) = match open_missing(configs, &places) {
            Ok(new) => (new, Ok(())),
            Err(error) if is_in_use(&error) => {
                let given_up =
                    |place: &&Place| configs.iter().all(|config| *config != place.config);
                for listener in places.iter().filter(given_up).filter_map(|it| it.listener.as_ref())
                {
                    listener.stop();
                }
                let kept: Vec<Place> =
                    places.iter().filter(|place| !given_up(place)).cloned().collect();
                match open_missing(configs, &kept) {
                    Ok(new) => (new, Ok(())),
                    Err(error) => (restore(&places, &kept), Err(error)),
                }
            }
            Err(error) => return Err(error),
        };
        // Nobody gets in any more once the change is answered; the acceptor lets go a little later.
        let is_kept = |listener: &Arc<Listener>| {
            let kept = changed.iter().filter_map(|place| place.listener.as_ref());
            kept.into_iter().any(|kept| Arc::ptr_eq(kept, listener))
        };
        for listener in places.iter().filter_map(|place| place.listener.as_ref()) {
            if !is_kept(listener) {
                listener.stop();
            }
        }
        *places = changed;
        let addresses = addresses(&places);
        if outcome.is_ok() {
            opened(&addresses);
        }
        publish(places.iter().map(|place| place.listener.clone()).collect());
        outcome.map(|()| addresses)
    }

    pub(crate) fn addresses(&self) -> Vec<Option<PeerAddress>> {
        addresses(&self.lock())
    }

    /// Forgets everything, at the end: sockets close when the acceptor has let go of them.
    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        self.places.lock().expect("no code that can panic runs under this lock")
    }
}

fn addresses(places: &[Place]) -> Vec<Option<PeerAddress>> {
    let listeners = places.iter().map(|place| place.listener.as_ref());
    listeners.map(|listener| listener.map(|listener| listener.address.clone())).collect()
}

fn is_in_use(error: &StartError) -> bool {
    matches!(error, StartError::Bind { error, .. } if error.kind() == std::io::ErrorKind::AddrInUse)
}

/// `configs` with the listeners there are, and new ones where there are none.
fn open_missing(configs: &[ListenerConfig], existing: &[Place]) -> Result<Vec<Place>, StartError> {
    let place = |config: &ListenerConfig| {
        if let Some(place) = existing.iter().find(|place| place.config == *config) {
            return Ok(place.clone());
        }
        let listener = listener::open(config)?.map(Arc::new);
        Ok(Place { config: config.clone(), listener })
    };
    configs.iter().map(place).collect()
}

/// `before` again, after all but `kept` were stopped.
fn restore(before: &[Place], kept: &[Place]) -> Vec<Place> {
    let again = |place: &Place| {
        let config = place.config.clone();
        if kept.iter().any(|kept| kept.config == config) {
            return place.clone();
        }
        let listener = listener::open(&config).unwrap_or_else(|error| {
            tracing::error!(%error, "could not listen again on a former address");
            None
        });
        Place { config, listener: listener.map(Arc::new) }
    };
    before.iter().map(again).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, TcpStream};

    fn tcp(word: &str, port: u16) -> ListenerConfig {
        ListenerConfig::tcp(word, port, 16).unwrap()
    }

    fn port_of(addresses: &[Option<PeerAddress>]) -> u16 {
        match addresses[0] {
            Some(PeerAddress::Tcp(address)) => address.port(),
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_that_stays_keeps_its_socket() {
        let listening = Listening::default();
        let first = tcp("127.0.0.1", 0);
        let before = listening.change(std::slice::from_ref(&first), |_| {}, |_| {}).unwrap();
        let both = [tcp("127.0.0.1", 0), tcp("::1", 0)];
        let after =
            listening.change(&both, |_| {}, |listeners| assert_eq!(listeners.len(), 2)).unwrap();
        assert_eq!(after[0], before[0]);
        assert_eq!(listening.addresses(), after);
    }

    #[test]
    fn a_wider_address_gives_way_to_a_narrower_one() {
        let listening = Listening::default();
        let port = port_of(&listening.change(&[tcp("*", 0)], |_| {}, |_| {}).unwrap());
        let wide = [tcp("*", port)];
        listening.change(&[], |_| {}, |_| {}).unwrap();
        listening.change(&wide, |_| {}, |_| {}).unwrap();
        listening.change(&[tcp("127.0.0.1", port)], |_| {}, |_| {}).unwrap();
        TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        assert!(TcpStream::connect(SocketAddr::from(([127, 0, 0, 2], port))).is_err());
    }

    #[test]
    fn a_change_that_fails_changes_nothing() {
        let listening = Listening::default();
        let port = port_of(&listening.change(&[tcp("*", 0)], |_| {}, |_| {}).unwrap());
        listening.change(&[], |_| {}, |_| {}).unwrap();
        let wide = [tcp("*", port)];
        listening.change(&wide, |_| {}, |_| {}).unwrap();
        let foreign = [tcp("127.0.0.1", port), tcp("192.0.2.1", port)];
        let mut published = None;
        let error = listening.change(
            &foreign,
            |_| panic!("not open"),
            |listeners| published = Some(listeners),
        );
        let error = error.unwrap_err();
        assert!(error.to_string().contains("192.0.2.1"), "{error}");
        assert_eq!(listening.addresses().len(), 1);
        TcpStream::connect(SocketAddr::from(([127, 0, 0, 2], port))).unwrap();
        assert!(published.is_some_and(|listeners| listeners.len() == 1));
    }
}
