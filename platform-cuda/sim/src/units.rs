//! What users write: sizes, speeds, times, percentages, seeds. Floor: tool.

/// A number and its unit, as in `25 GB`.
fn measure(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim();
    let end = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.'));
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim();
    let factor = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?.1;
    Some(number * factor)
}

const BYTES: [(&str, f64); 10] = [
    ("", 1.0),
    ("B", 1.0),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];
const NANOSECONDS: [(&str, f64); 4] = [("ns", 1.0), ("us", 1e3), ("ms", 1e6), ("s", 1e9)];

/// `80GB`, `512MiB`, `4096`: 1 byte to 2^50.
///
/// # Errors
/// A sentence.
pub fn bytes(text: &str) -> Result<u64, String> {
    match measure(text, &BYTES) {
        Some(bytes) if (1.0..=f64::from(1u32 << 25) * f64::from(1u32 << 25)).contains(&bytes) => {
            Ok(bytes as u64)
        }
        _ => Err("a number of bytes above 0 and at most 1024 TiB, as in 80GB or 512MiB".to_owned()),
    }
}

/// `25GB/s`: bytes a second, from 1 MB/s on.
///
/// # Errors
/// A sentence.
pub fn bytes_per_second(text: &str) -> Result<u64, String> {
    let amount = text.trim().strip_suffix("/s").and_then(|amount| bytes(amount).ok());
    amount
        .filter(|speed| (1_000_000..=1_000_000_000_000_000).contains(speed))
        .ok_or_else(|| "a speed from 1MB/s to 1000TB/s, as in 25GB/s".to_owned())
}

/// `4ms`: nanoseconds, at most an hour.
///
/// # Errors
/// A sentence.
pub fn nanoseconds(text: &str) -> Result<u64, String> {
    match measure(text, &NANOSECONDS) {
        Some(time) if (1.0..=3.6e12).contains(&time) => Ok(time as u64),
        _ => Err("a time from 1ns to 3600s, as in 4ms or 500us".to_owned()),
    }
}

/// `25%`, a whole number from 1 to 100.
///
/// # Errors
/// A sentence.
pub fn percent(text: &str) -> Result<u64, String> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
    number
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| "a whole percentage from 1% to 100%".to_owned())
}

/// `7`, `1,2,3`, `101-105`, `1-5,9`: each once, in the order in which they are named.
///
/// # Errors
/// A sentence.
pub fn seeds(text: &str) -> Result<Vec<u64>, String> {
    const MOST: u64 = 10_000;
    let mut seeds = Vec::new();
    for part in text.split(',') {
        let number = |word: &str| -> Result<u64, String> {
            let form = "seeds are numbers as in 7, 1,2,3 or 101-105";
            word.trim().parse().map_err(|_| format!("'{word}' is no seed: {form}"))
        };
        let (first, last) = match part.split_once('-') {
            Some((first, last)) => (number(first)?, number(last)?),
            None => (number(part)?, number(part)?),
        };
        if first > last {
            return Err(format!("the seeds {part} run backwards"));
        }
        if last - first >= MOST {
            return Err(format!("{part} are more than {MOST} seeds"));
        }
        for seed in first..=last {
            if seeds.contains(&seed) {
                return Err(format!("seed {seed} is named twice"));
            }
            seeds.push(seed);
        }
    }
    Ok(seeds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_speeds_and_times_have_units() {
        assert_eq!(bytes("80GB"), Ok(80_000_000_000));
        assert_eq!(bytes("1.5 GiB"), Ok(3 << 29));
        assert_eq!(bytes("4096"), Ok(4096));
        let small = ["1B", "3KB", "3KiB", "3MB", "3MiB"].map(bytes);
        assert_eq!(small, [1, 3000, 3072, 3_000_000, 3 << 20].map(Ok));
        assert_eq!(bytes("1024TiB"), Ok(1 << 50));
        assert_eq!(bytes_per_second("25GB/s"), Ok(25_000_000_000));
        assert_eq!(nanoseconds("4ms"), Ok(4_000_000));
        assert_eq!(nanoseconds("0.5us"), Ok(500));
        assert_eq!(percent("25%"), Ok(25));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", "GB", "0", "-1GB", "1e400", "NaN", "inf", "25 apples", "1025TiB", "1.2.3"]
        {
            assert!(bytes(text).is_err(), "{text}");
        }
        for text in ["25GB", "/s", "0/s", "25GB/h", "1KB/s", "2000TB/s"] {
            assert!(bytes_per_second(text).is_err(), "{text}");
        }
        for text in ["4", "0ms", "4 minutes", "-4ms", "3601s"] {
            assert!(nanoseconds(text).is_err(), "{text}");
        }
        for text in ["25", "0%", "101%", "-5%", "2.5%", "%"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn seeds_are_lists_of_numbers_and_ranges() {
        assert_eq!(seeds("7"), Ok(vec![7]));
        assert_eq!(seeds("1,2,3"), Ok(vec![1, 2, 3]));
        assert_eq!(seeds("101-105"), Ok(vec![101, 102, 103, 104, 105]));
        assert_eq!(seeds("9,1-2"), Ok(vec![9, 1, 2]));
        for (text, why) in [
            ("", "is no seed"),
            ("5-1", "run backwards"),
            ("1,1", "named twice"),
            ("1-", "is no seed"),
            ("-1", "is no seed"),
            ("x", "is no seed"),
            ("0-99999999999", "more than"),
        ] {
            let error = seeds(text).expect_err(text);
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
