//! Cron texts: what they mean, and when they are due next. UTC.

/// How far ahead a match is looked for.
const HORIZON_YEARS: i64 = 5;

const DAY_S: i64 = 86_400;

/// Why a cron text has no next time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// Too few or too many fields.
    #[error("Invalid cron expression: expected 5 or 6 elements.")]
    Elements,
    /// An element of a field that is no number, name, range or step.
    #[error("Invalid cron expression: {field} has {element:?}, which is not understood")]
    Element {
        /// Name of the field.
        field: &'static str,
        /// What it says there.
        element: String,
    },
    /// A number that the field does not have.
    #[error("Invalid cron expression: {field} has {value}, which is not in {min}-{max}")]
    OutOfRange {
        /// Name of the field.
        field: &'static str,
        /// What it says there.
        value: u64,
        /// Least number of the field.
        min: u8,
        /// Greatest number of the field.
        max: u8,
    },
    /// A range whose end comes first.
    #[error("Invalid cron expression: {field} has a range that ends before it starts, {element:?}")]
    Backwards {
        /// Name of the field.
        field: &'static str,
        /// What it says there.
        element: String,
    },
    /// It matches nothing in the five years to come, the 30th of February for instance.
    #[error("No valid next date was found.")]
    Never,
}

struct Field {
    name: &'static str,
    min: u8,
    max: u8,
    // Those of 1 and what follows.
    names: &'static [&'static str],
}

const fn field(name: &'static str, min: u8, max: u8, names: &'static [&'static str]) -> Field {
    Field { name, min, max, names }
}

const SECOND: Field = field("second", 0, 59, &[]);
const MINUTE: Field = field("minute", 0, 59, &[]);
const HOUR: Field = field("hour", 0, 23, &[]);
const DAY: Field = field("day", 1, 31, &[]);
const MONTH: Field =
    field("month", 1, 12, &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]);
const WEEKDAY: Field = field("weekday", 0, 7, &["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);

/// Names of whole texts.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
    ("@minutely", "* * * * *"),
];

/// A cron text that was understood: one set of bits for each field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cron {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
}

const ALL_DAYS: u64 = 0xffff_fffe;
const ALL_WEEKDAYS: u64 = 0x7f;

impl Cron {
    /// Five fields, or six with seconds first, or one of the names.
    pub(crate) fn parse(text: &str) -> Result<Self, CronError> {
        let text = text.trim_matches(' ');
        let nickname = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        let text = nickname.map_or(text, |(_, fields)| *fields);
        let mut fields: Vec<&str> = text.split(' ').filter(|field| !field.is_empty()).collect();
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        let Ok([second, minute, hour, day, month, weekday]) = <[&str; 6]>::try_from(fields) else {
            return Err(CronError::Elements);
        };
        let weekdays = WEEKDAY.parse(weekday)?;
        Ok(Self {
            seconds: SECOND.parse(second)?,
            minutes: MINUTE.parse(minute)?,
            hours: HOUR.parse(hour)?,
            days: DAY.parse(day)?,
            months: MONTH.parse(month)?,
            // Sunday has two numbers.
            weekdays: (weekdays | weekdays >> 7) & ALL_WEEKDAYS,
        })
    }

    /// The first match after that second. Unix seconds.
    pub(crate) fn next_after(&self, now_s: u64) -> Result<u64, CronError> {
        let start = i64::try_from(now_s).map_err(|_| CronError::Never)?.saturating_add(1);
        let today = start.div_euclid(DAY_S);
        let last_day = {
            let (year, month, day) = date_of(today);
            day_number(year + HORIZON_YEARS, month, day)
        };
        let mut day = today;
        while day <= last_day {
            let (year, month, day_of_month) = date_of(day);
            if !has(self.months, month) {
                // To the first of the next month.
                day += days_in_month(year, month) - day_of_month + 1;
                continue;
            }
            if self.matches_day(day, day_of_month) {
                let from = if day == today { start.rem_euclid(DAY_S) } else { 0 };
                if let Some(second) = self.first_time_from(from) {
                    return u64::try_from(day * DAY_S + second).map_err(|_| CronError::Never);
                }
            }
            day += 1;
        }
        Err(CronError::Never)
    }

    /// If both kinds of day are restricted, either will do.
    fn matches_day(&self, day: i64, day_of_month: i64) -> bool {
        // 1970-01-01 was a Thursday.
        let weekday = (day + 4).rem_euclid(7);
        let (in_days, in_weekdays) = (has(self.days, day_of_month), has(self.weekdays, weekday));
        if self.days == ALL_DAYS || self.weekdays == ALL_WEEKDAYS { in_days && in_weekdays } else { in_days || in_weekdays }
    }

    /// The first matching second of a day that is not before `from`.
    fn first_time_from(&self, from: i64) -> Option<i64> {
        let (hour, minute, second) = (from / 3_600, from / 60 % 60, from % 60);
        let at = |hour: i64, minute: i64, second: i64| hour * 3_600 + minute * 60 + second;
        let first_second = next_bit(self.seconds, 0)?;
        let first_minute = next_bit(self.minutes, 0)?;
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = next_bit(self.seconds, second)
            {
                return Some(at(hour, minute, second));
            }
            if let Some(minute) = next_bit(self.minutes, minute + 1) {
                return Some(at(hour, minute, first_second));
            }
        }
        Some(at(next_bit(self.hours, hour + 1)?, first_minute, first_second))
    }
}

fn has(bits: u64, number: i64) -> bool {
    next_bit(bits, number) == Some(number)
}

/// The least number of the set that is not below `from`.
fn next_bit(bits: u64, from: i64) -> Option<i64> {
    let from = u32::try_from(from).ok()?;
    let rest = bits.checked_shr(from)?;
    (rest != 0).then(|| i64::from(from + rest.trailing_zeros()))
}

impl Field {
    fn parse(&self, text: &str) -> Result<u64, CronError> {
        text.split(',').try_fold(0, |bits, element| Ok(bits | self.parse_element(element)?))
    }

    fn parse_element(&self, element: &str) -> Result<u64, CronError> {
        let Some((range, step)) = split_range(element) else {
            return Ok(1 << self.parse_value(element, element)?);
        };
        let wrong = || CronError::Element { field: self.name, element: element.to_owned() };
        let step = leading_number(step).filter(|step| *step > 0).ok_or_else(wrong)?;
        let (first, last) = match range {
            Some((first, last)) => (self.parse_value(first, element)?, self.parse_value(last, element)?),
            None => (self.min, self.max),
        };
        // Sunday is 0 and 7, and by its name 7: what starts with it and ends with another day starts the week.
        let first = if self.max == 7 && first == 7 && last < 7 { 0 } else { first };
        if first > last {
            return Err(CronError::Backwards { field: self.name, element: element.to_owned() });
        }
        // A step longer than the field leaves its first value.
        let step = usize::try_from(step).unwrap_or(usize::MAX);
        Ok((first..=last).step_by(step).fold(0, |bits, value| bits | 1 << value))
    }

    fn parse_value(&self, text: &str, element: &str) -> Result<u8, CronError> {
        if let Some(index) = self.names.iter().position(|name| name.eq_ignore_ascii_case(text)) {
            return Ok(u8::try_from(index + 1).unwrap_or(u8::MAX));
        }
        let value = leading_number(text).ok_or_else(|| CronError::Element { field: self.name, element: element.to_owned() })?;
        u8::try_from(value).ok().filter(|value| (self.min..=self.max).contains(value)).ok_or(CronError::OutOfRange {
            field: self.name,
            value,
            min: self.min,
            max: self.max,
        })
    }
}

/// Both ends of a range, of which `*` has none, and its step. What is written in any other way is a single value, and a step behind
/// that means nothing: as in the JavaScript SDK.
fn split_range(element: &str) -> Option<(Option<(&str, &str)>, &str)> {
    let consists_of = |text: &str, wanted: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|byte| wanted(&byte));
    let (range, step) = element.split_once('/').unwrap_or((element, "1"));
    if !consists_of(step, u8::is_ascii_digit) {
        return None;
    }
    if range == "*" {
        return Some((None, step));
    }
    let (first, last) = range.split_once('-')?;
    let are_values = consists_of(first, u8::is_ascii_alphanumeric) && consists_of(last, u8::is_ascii_alphanumeric);
    are_values.then_some((Some((first, last)), step))
}

/// The number that a text starts with. What follows it counts for nothing, as in the JavaScript SDK, whose texts are stored.
fn leading_number(text: &str) -> Option<u64> {
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let digits = text.get(..end).filter(|digits| !digits.is_empty())?;
    // Too large for any field.
    Some(digits.parse().unwrap_or(u64::MAX))
}

/// Days since 1970-01-01 of a date of the Gregorian calendar. Counts in eras of 400 years, whose years begin in March.
fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Year, month and day of a number of days since 1970-01-01.
fn date_of(day_number: i64) -> (i64, i64, i64) {
    let shifted = day_number + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    day_number(next_year, next_month, 1) - day_number(year, month, 1)
}

#[cfg(test)]
mod tests;
