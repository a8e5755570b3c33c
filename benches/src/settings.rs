//! Owns what must hold before a measurement sets ACE-Alloc's own variables.

use std::path::Path;
use std::{env, fs};

/// Variables of this program, not of the allocator.
pub const OURS: [&str; 3] = ["ACE_BENCH_WORKERS", "ACE_LIBRARY", "ACE_LIBRARY_UNCHECKED"];
/// What a library without ACE does anyway.
const OFF: (&str, &str) = ("ACE_MODE", "off");
/// The variable whose value holds names itself.
const DIALS: &str = "ACE_DIALS";

/// An error if the user has set variables that the rows set themselves.
pub fn refuse_inherited() -> Result<(), String> {
    let names = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let set = Vec::from_iter(
        names.filter(|name| name.starts_with("ACE_") && !OURS.contains(&name.as_str())),
    );
    match set.is_empty() {
        true => Ok(()),
        false => Err(format!("{} set: unset it, for the rows differ in it", set.join(", "))),
    }
}

/// A file with the allocator in it, to ask which options it knows.
pub struct Program(Vec<u8>);

impl Program {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        fs::read(path).map(Self).map_err(|e| format!("cannot read {}: {e}", path.display()))
    }

    /// FNV-1a of its bytes: which build it is.
    pub fn fingerprint(&self) -> u64 {
        fingerprint(&self.0)
    }

    /// The first option or dial that this build does not know. A build that ignores what a row sets
    /// would be measured under a wrong name.
    pub fn unknown<'a>(&self, settings: &'a [(String, String)]) -> Option<&'a str> {
        let options = settings.iter().filter(|(name, value)| {
            name.starts_with("ACE_") && (name.as_str(), value.as_str()) != OFF
        });
        let mut names = options.flat_map(|(name, value)| {
            let dials = value.split(',').filter(move |_| name == DIALS);
            let dials = dials.map(|dial| dial.split('=').next().unwrap_or(dial));
            [name.as_str()].into_iter().chain(dials)
        });
        names.find(|name| !self.contains(name.as_bytes()))
    }

    fn contains(&self, text: &[u8]) -> bool {
        self.0.windows(text.len()).any(|window| window == text)
    }
}

/// FNV-1a, 64 bits: the same in every build of this program.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use ace_alloc::dials::Dial;

    /// Each dial of a list is one of the heap's, and the value is in its range.
    pub fn assert_dials_exist(list: &str) {
        for dial in list.split(',') {
            let (name, value) = dial.split_once('=').expect("name=value");
            let spec = Dial::named(name).unwrap_or_else(|| panic!("no dial {name}")).spec();
            let value: u32 = value.parse().expect("a number");
            assert!((spec.min..=spec.max).contains(&value), "{dial}");
        }
    }

    #[test]
    fn an_option_that_a_build_does_not_know_is_named() {
        let program = Program(b"..ACE_DIALS..refill_max..".to_vec());
        let unknown = |name: &str, value: &str| {
            let settings = [(name.to_owned(), value.to_owned())];
            program.unknown(&settings).map(str::to_owned)
        };
        assert_eq!(unknown("ACE_DIALS", "refill_max=1"), None);
        assert_eq!(unknown("ACE_DIALS", "refill_max=1,caps=2"), Some("caps".to_owned()));
        assert_eq!(unknown("ACE_MODE", "tune"), Some("ACE_MODE".to_owned()));
        assert_eq!(unknown("ACE_MODE", "off"), None, "a build without ACE is off");
        assert_eq!(unknown("BENCH_WATCH", "1"), None);
    }

    #[test]
    fn the_fingerprint_is_fnv_1a() {
        assert_eq!(fingerprint(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fingerprint(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
