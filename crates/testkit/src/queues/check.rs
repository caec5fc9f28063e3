//! What may not have happened.

use std::fmt;
use std::time::Duration;

use hashbrown::HashMap;

/// One element: who made it, and as which of those of its maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Element {
    pub producer: usize,
    pub number: usize,
}

/// An element that a consumer took.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// From which list.
    pub key: usize,
    pub element: Element,
    /// When it was asked for and when it came, since the run began.
    pub asked: Duration,
    pub came: Duration,
}

/// Everything that happened to the elements of one round.
#[derive(Debug, Default)]
pub struct History {
    /// The list each was put in the end of; producers work one element after the other.
    pub pushed: HashMap<Element, usize>,
    pub taken: Vec<Taken>,
    /// What lies in some list when everybody has gone.
    pub left: Vec<Element>,
    /// Whether elements may have been given back, which puts them behind those taken meanwhile.
    pub gives_back: bool,
}

/// What cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Nobody made it.
    Invented(Element),
    /// It was taken from a list it was not put in.
    Strayed(Element),
    /// It was taken twice, or taken and left.
    Doubled(Element),
    /// It was neither taken nor left.
    Lost(Element),
    /// The second had come when the first, which was in front of it, was asked for.
    Overtaken(Element, Element),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invented(element) => write!(f, "{element:?} was taken and never made"),
            Self::Strayed(element) => write!(f, "{element:?} was taken from another list"),
            Self::Doubled(element) => write!(f, "{element:?} was delivered twice"),
            Self::Lost(element) => write!(f, "{element:?} was lost"),
            Self::Overtaken(first, second) => write!(f, "{second:?} overtook {first:?}"),
        }
    }
}

impl History {
    /// `Err` with the first violation there is.
    pub fn check(&self) -> Result<(), Violation> {
        self.check_counts()?;
        if self.gives_back { Ok(()) } else { self.check_order() }
    }

    fn check_counts(&self) -> Result<(), Violation> {
        let mut seen: HashMap<Element, ()> = HashMap::with_capacity(self.pushed.len());
        for Taken { key, element, .. } in &self.taken {
            let pushed_to = self.pushed.get(element).ok_or(Violation::Invented(*element))?;
            if pushed_to != key {
                return Err(Violation::Strayed(*element));
            }
            if seen.insert(*element, ()).is_some() {
                return Err(Violation::Doubled(*element));
            }
        }
        for element in &self.left {
            if !self.pushed.contains_key(element) {
                return Err(Violation::Invented(*element));
            }
            if seen.insert(*element, ()).is_some() {
                return Err(Violation::Doubled(*element));
            }
        }
        let lost = self.pushed.keys().filter(|element| !seen.contains_key(*element)).min();
        lost.map_or(Ok(()), |element| Err(Violation::Lost(*element)))
    }

    /// Elements of one producer in one list are taken in their order: whoever asks for one when a later one
    /// has come comes too late.
    fn check_order(&self) -> Result<(), Violation> {
        let mut lanes: HashMap<(usize, usize), Vec<&Taken>> = HashMap::new();
        for taken in &self.taken {
            lanes.entry((taken.key, taken.element.producer)).or_default().push(taken);
        }
        for lane in lanes.values_mut() {
            lane.sort_unstable_by_key(|taken| taken.element.number);
            // From the last on: the one behind that came first.
            let mut behind: Option<&Taken> = None;
            for taken in lane.iter().rev() {
                if let Some(behind) = behind.filter(|behind| behind.came < taken.asked) {
                    return Err(Violation::Overtaken(taken.element, behind.element));
                }
                if behind.is_none_or(|behind| taken.came < behind.came) {
                    behind = Some(taken);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn element(number: usize) -> Element {
        Element { producer: 1, number }
    }

    fn taken(number: usize, asked: u64, came: u64) -> Taken {
        let (asked, came) = (Duration::from_micros(asked), Duration::from_micros(came));
        Taken { key: 0, element: element(number), asked, came }
    }

    fn history(taken: Vec<Taken>, left: &[usize]) -> History {
        History {
            pushed: (0..3).map(|number| (element(number), 0)).collect(),
            taken,
            left: left.iter().map(|number| element(*number)).collect(),
            gives_back: false,
        }
    }

    #[test]
    fn each_kind_of_violation_is_found() {
        let fine = vec![taken(0, 0, 10), taken(1, 5, 9)];
        assert_eq!(history(fine.clone(), &[2]).check(), Ok(()));
        assert_eq!(history(fine.clone(), &[]).check(), Err(Violation::Lost(element(2))));
        assert_eq!(history(fine.clone(), &[2, 1]).check(), Err(Violation::Doubled(element(1))));
        assert_eq!(history(fine, &[2, 7]).check(), Err(Violation::Invented(element(7))));
        let twice = vec![taken(0, 0, 1), taken(0, 2, 3)];
        assert_eq!(history(twice, &[1, 2]).check(), Err(Violation::Doubled(element(0))));
        let late = vec![taken(0, 8, 9), taken(1, 0, 7), taken(2, 9, 10)];
        let overtaken = Violation::Overtaken(element(0), element(1));
        assert_eq!(history(late.clone(), &[]).check(), Err(overtaken));
        assert_eq!(History { gives_back: true, ..history(late, &[]) }.check(), Ok(()));
        let strayed = vec![Taken { key: 5, ..taken(0, 0, 1) }];
        assert_eq!(history(strayed, &[1, 2]).check(), Err(Violation::Strayed(element(0))));
    }
}
