//! Sizes, rates and times as people write them.

use std::time::Duration;

const MIB: u128 = 1 << 20;

/// `bytes` in `elapsed` as `421.3 MiB/s`.
pub(crate) fn rate(bytes: u64, elapsed: Duration) -> String {
    let nanos = elapsed.as_nanos().max(1);
    let tenths = u128::from(bytes) * 10_000_000_000 / (nanos * MIB);
    format!("{}.{} MiB/s", tenths / 10, tenths % 10)
}

/// `bytes` as `1023 B` or `256.0 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..0x400 => return format!("{bytes} B"),
        0x400..0x10_0000 => (1 << 10, "KiB"),
        0x10_0000..0x4000_0000 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    let tenths = u128::from(bytes) * 10 / unit;
    format!("{}.{} {name}", tenths / 10, tenths % 10)
}

/// Reads `64`, `64KiB`, `256MiB` or `1GiB`.
///
/// # Errors
///
/// A sentence that says what is allowed.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 4] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
    ];
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .unwrap_or((text, 1));
    let number: u64 = digits
        .trim()
        .parse()
        .map_err(|_| format!("`{text}` is not a size such as 1000, 64KiB, 256MiB or 1GiB"))?;
    number
        .checked_mul(unit)
        .ok_or_else(|| format!("`{text}` is more than 2^64 bytes"))
}

/// Reads `500us`, `20ms` or `1.5s`.
///
/// # Errors
///
/// A sentence that says what is allowed.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    const UNITS: [(&str, f64); 3] = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)];
    let problem = || format!("`{text}` is not a time such as 500us, 20ms or 1.5s");
    let (digits, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .ok_or_else(problem)?;
    let number: f64 = digits.trim().parse().map_err(|_| problem())?;
    Duration::try_from_secs_f64(number * unit).map_err(|_| problem())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_back_as_people_write_them() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("17B"), Ok(17));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("256MiB"), Ok(268_435_456));
        assert_eq!(parse_size("1GiB"), Ok(1 << 30));
    }

    #[test]
    fn odd_sizes_and_times_are_refused_not_guessed() {
        for text in ["", "MiB", "-1", "1.5MiB", "64 kb", "99999999999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        for text in ["", "ms", "20", "-1s", "nans", "infs", "20 minutes"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_three_units() {
        assert_eq!(parse_duration("500us"), Ok(Duration::from_micros(500)));
        assert_eq!(parse_duration("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1_500)));
    }

    #[test]
    fn a_rate_has_one_decimal_and_survives_zero_time() {
        assert_eq!(rate(268_435_456, Duration::from_millis(610)), "419.6 MiB/s");
        assert!(rate(1 << 40, Duration::ZERO).ends_with("MiB/s"));
    }

    #[test]
    fn a_size_picks_its_unit() {
        assert_eq!(size(1_023), "1023 B");
        assert_eq!(size(1_536), "1.5 KiB");
        assert_eq!(size(268_435_456), "256.0 MiB");
        assert_eq!(size(3 << 30), "3.0 GiB");
    }
}
