//! Saving by the clock (`snapshot-cron`): when, as crontab(5) has it, in UTC.
//!
//! ```text
//! minute  hour  day of month  month  day of week      *  5  1-5  */15  10-40/5  1,3,JUL
//! 0-59    0-23  1-31          1-12   0-7, 0 and 7: Sunday
//! ```
//!
//! As in cron, where both days are restricted one of them has to fit.

use darter_base::UnixMillis;

/// What a field may hold.
struct Field {
    min: u32,
    max: u32,
    /// Of the numbers from `min` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field {
        min: 1,
        max: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Field { min: 0, max: 7, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] },
];

/// Days from the first of March of the year 0 to the first of January 1970.
const DAYS_TO_EPOCH: i64 = 719_468;
const DAYS_OF_400_YEARS: i64 = 146_097;

/// Minutes at which something is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// By field: a bit for each number.
    allowed: [u64; 5],
    /// Whether the day of the month, and the day of the week, are any.
    is_any_day: bool,
    is_any_weekday: bool,
}

/// A minute, in the terms of the fields.
struct Moment {
    minute: u32,
    hour: u32,
    day: u32,
    month: u32,
    /// 0: Sunday.
    weekday: u32,
}

impl Schedule {
    /// Five fields with spaces between them.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = str::from_utf8(text).ok()?.to_ascii_lowercase();
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let words: [&str; 5] = words.try_into().ok()?;
        let mut allowed = [0; 5];
        for ((word, field), allowed) in words.iter().zip(&FIELDS).zip(&mut allowed) {
            for part in word.split(',') {
                *allowed |= field.parse(part)?;
            }
        }
        // Sunday has two numbers.
        allowed[4] |= (allowed[4] >> 7) & 1;
        let is_any = |word: &str| word.starts_with('*');
        Some(Self { allowed, is_any_day: is_any(words[2]), is_any_weekday: is_any(words[4]) })
    }

    /// Whether something is due in the minute of `now`.
    pub fn is_due(&self, now: UnixMillis) -> bool {
        let Moment { minute, hour, day, month, weekday } = Moment::of(minute_of(now));
        let [minutes, hours, days, months, weekdays] = self.allowed;
        let has = |bits: u64, number: u32| (bits >> number) & 1 == 1;
        let (day_fits, weekday_fits) = (has(days, day), has(weekdays, weekday));
        let is_day = if self.is_any_day || self.is_any_weekday {
            day_fits && weekday_fits
        } else {
            day_fits || weekday_fits
        };
        has(minutes, minute) && has(hours, hour) && has(months, month) && is_day
    }
}

/// Minutes since 1970.
pub fn minute_of(now: UnixMillis) -> i64 {
    now.0.div_euclid(60_000)
}

impl Field {
    /// `*`, a number, or a range, and how large the steps are.
    fn parse(&self, part: &str) -> Option<u64> {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step.parse().ok().filter(|step| *step > 0)?)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.min, self.max),
            Some((first, last)) => (self.number(first)?, self.number(last)?),
            // Steps from a number go on to the end.
            None => {
                let number = self.number(range)?;
                (number, if step.is_some() { self.max } else { number })
            }
        };
        let step: usize = step.unwrap_or(1);
        (first <= last)
            .then(|| (first..=last).step_by(step).fold(0, |bits, number| bits | (1 << number)))
    }

    fn number(&self, word: &str) -> Option<u32> {
        let named = (self.min..).zip(self.names).find(|(_, name)| **name == word);
        let number = named.map(|(number, _)| number).or_else(|| {
            let is_plain = word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit());
            word.parse().ok().filter(|_| is_plain)
        })?;
        (self.min..=self.max).contains(&number).then_some(number)
    }
}

impl Moment {
    /// So many minutes after 1970 began. The years count from March, so that the leap day is the last one (Howard
    /// Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2021).
    fn of(minutes: i64) -> Self {
        let part = |number: i64| u32::try_from(number).expect("parts of a date are small");
        let days = minutes.div_euclid(1440);
        let day_of_era = (days + DAYS_TO_EPOCH).rem_euclid(DAYS_OF_400_YEARS);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        Self {
            minute: part(minutes.rem_euclid(60)),
            hour: part(minutes.rem_euclid(1440) / 60),
            day: part(day_of_year - (153 * from_march + 2) / 5 + 1),
            month: part(if from_march < 10 { from_march + 3 } else { from_march - 9 }),
            // 1970 began on a Thursday.
            weekday: part((days + 4).rem_euclid(7)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Unix seconds, from `date -u +%s -d`.
    fn is_due(text: &str, seconds: i64) -> bool {
        Schedule::parse(text.as_bytes()).unwrap().is_due(UnixMillis(seconds * 1000))
    }

    /// 2024-02-29 23:45:30, a Thursday.
    const LEAP_DAY: i64 = 1_709_250_330;

    #[test]
    fn fields_are_compared_with_the_time_of_day() {
        for fits in
            ["* * * * *", "45 23 29 2 4", "*/15 20-23 * FEB thu", "0,45 * * * *", "5/10 * * 1-3 *"]
        {
            assert!(is_due(fits, LEAP_DAY), "{fits}");
        }
        for fails in ["44 * * * *", "45 22 * * *", "* * 28 * *", "* * * mar *", "* * * * fri"] {
            assert!(!is_due(fails, LEAP_DAY), "{fails}");
        }
        // 2026-11-29 00:00:00 is a Sunday, which is 0 and 7; 1970-01-01 was a Thursday.
        for fits in ["0 0 * * 0", "0 0 * * 7", "0 0 * * sun", "0 0 29 11 *"] {
            assert!(is_due(fits, 1_795_910_400), "{fits}");
        }
        assert!(is_due("0 0 1 1 4", 0));
        assert!(is_due("59 23 31 12 3", -1));
    }

    #[test]
    fn where_both_days_are_restricted_one_has_to_fit() {
        assert!(is_due("* * 1 * thu", LEAP_DAY));
        assert!(is_due("* * 29 * mon", LEAP_DAY));
        assert!(!is_due("* * 1 * mon", LEAP_DAY));
        assert!(!is_due("* * * * mon", LEAP_DAY));
    }

    #[test]
    fn anything_else_is_refused() {
        let refused = [
            "",
            "* * * *",
            "* * * * * *",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "* * * * 8",
            "5-1 * * * *",
            "*/0 * * * *",
            "+1 * * * *",
            "a * * * *",
            "1, * * * *",
            "1-2-3 * * * *",
            "*/x * * * *",
            "-1 * * * *",
        ];
        for text in refused {
            assert_eq!(Schedule::parse(text.as_bytes()), None, "{text}");
        }
    }
}
