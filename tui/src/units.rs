//! Times, sizes and numbers as people read them. Pure; must not know a style.

/// How long something is ago or takes, in its largest unit: `12s`, `4m`, `3h`, `6d`.
pub fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3_600 => format!("{}m", s / 60),
        s @ 3_600..86_400 => format!("{}h", s / 3_600),
        s => format!("{}d", s / 86_400),
    }
}

/// How long something takes, in its two largest units: `12s`, `4m 05s`, `1h 12m`, `3d 4h`.
pub fn span(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3_600 => format!("{}m {:02}s", s / 60, s % 60),
        s @ 3_600..86_400 => format!("{}h {:02}m", s / 3_600, s % 3_600 / 60),
        s => format!("{}d {}h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// A short stretch of time with its fraction where that says something: `0.4s`, `6.2s`, `48s`, `4m 05s`.
pub fn short(milliseconds: i64) -> String {
    match milliseconds.max(0) {
        ms @ 0..10_000 => format!("{}.{}s", ms / 1_000, ms % 1_000 / 100),
        ms => span(ms / 1_000),
    }
}

/// A place in a recording: `41:10`, `1:12:44`.
pub fn clock(seconds: i64) -> String {
    let s = seconds.max(0);
    if s < 3_600 {
        format!("{}:{:02}", s / 60, s % 60)
    } else {
        format!("{}:{:02}:{:02}", s / 3_600, s % 3_600 / 60, s % 60)
    }
}

/// Three digits that count, and the letter of their thousands.
fn scaled(number: u64, letters: &[&str]) -> (String, usize) {
    let mut power = 0;
    let mut unit = 1_u64;
    while power + 1 < letters.len() && number / unit >= 1_000 {
        unit = unit.saturating_mul(1_000);
        power += 1;
    }
    if power == 0 {
        return (number.to_string(), 0);
    }
    // In hundredths of the unit, cut and not rounded: 999.9 MB must not read as 1000 MB.
    let hundredths = u128::from(number) * 100 / u128::from(unit);
    let digits = match hundredths {
        0..1_000 => format!("{}.{:02}", hundredths / 100, hundredths % 100),
        1_000..10_000 => format!("{}.{}", hundredths / 100, hundredths % 100 / 10),
        _ => (hundredths / 100).to_string(),
    };
    (digits, power)
}

/// A size: `512 B`, `1.43 MB`, `2.9 GB`.
pub fn bytes(size: u64) -> String {
    const LETTERS: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];
    let (digits, power) = scaled(size, &LETTERS);
    format!("{digits} {}", LETTERS[power])
}

/// A large number in short: `2.91M`, `10.4k`.
pub fn compact(number: u64) -> String {
    const LETTERS: [&str; 5] = ["", "k", "M", "G", "T"];
    let (digits, power) = scaled(number, &LETTERS);
    format!("{digits}{}", LETTERS[power])
}

/// A bound that was reached, without the digits that say nothing: `10k`.
pub fn rounded(number: u64) -> String {
    match number {
        0..1_000 => number.to_string(),
        1_000..1_000_000 => format!("{}k", number / 1_000),
        _ => format!("{}M", number / 1_000_000),
    }
}

/// An exact number, in groups of three digits: `4,361`.
pub fn exact(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// One thing or many: `1 segment`, `4 segments`.
pub fn counted(number: u64, one: &str) -> String {
    format!("{} {one}{}", exact(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_the_units_that_count() {
        assert_eq!([age(-4), age(12), age(299), age(11_000), age(600_000)], ["0s", "12s", "4m", "3h", "6d"]);
        assert_eq!([span(59), span(245), span(4_364), span(273_600)], ["59s", "4m 05s", "1h 12m", "3d 4h"]);
        assert_eq!([short(432), short(6_280), short(48_200), short(245_000)], ["0.4s", "6.2s", "48s", "4m 05s"]);
        assert_eq!([clock(9), clock(2_470), clock(4_364)], ["0:09", "41:10", "1:12:44"]);
    }

    #[test]
    fn sizes_keep_three_digits() {
        assert_eq!(
            [bytes(0), bytes(999), bytes(1_000), bytes(1_432_000), bytes(41_900_000), bytes(999_999_999)],
            ["0 B", "999 B", "1.00 kB", "1.43 MB", "41.9 MB", "999 MB"]
        );
        assert_eq!(bytes(u64::MAX), "18446 PB");
        assert_eq!([compact(9), compact(10_400), compact(2_914_000)], ["9", "10.4k", "2.91M"]);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!([exact(0), exact(999), exact(4_361), exact(1_000_000)], ["0", "999", "4,361", "1,000,000"]);
        assert_eq!([counted(1, "segment"), counted(4, "segment")], ["1 segment", "4 segments"]);
    }
}
