//! The table of options: its defaults are the heap's, bad values change nothing, the page is current.

use ace_alloc_linux::{
    core_heap::{
        dials::{Dial, Dials},
        size_class::SizeClass,
    },
    options::{Kind, Setting, TABLE, write_page},
};

fn setting(name: &str) -> &'static Setting {
    TABLE.iter().find(|setting| setting.name == name).expect("a row of the table")
}

/// Everything that a setting can turn.
fn turned(dials: &Dials) -> Vec<u32> {
    let mut values: Vec<u32> = Dial::ALL.iter().map(|&dial| dials.get(dial)).collect();
    values.extend(SizeClass::all().map(|class| dials.route(class) as u32));
    values
}

#[test]
fn defaults_are_those_of_the_heap() {
    let fresh = turned(&Dials::new());
    for setting in TABLE.iter().filter(|setting| !setting.default.is_empty()) {
        let dials = Dials::new();
        assert!(setting.apply(setting.default.as_bytes(), &dials), "{}", setting.name);
        assert_eq!(turned(&dials), fresh, "{}", setting.name);
    }
}

#[test]
fn a_value_in_range_acts() {
    let dials = Dials::new();
    assert!(setting("ACE_DIRTY_LIMIT").apply(b"3M", &dials));
    assert_eq!(dials.get(Dial::DirtyFloorKib), 3 * 1024);
    assert!(setting("ACE_DIRTY_PERCENT").apply(b"0", &dials));
    assert_eq!(dials.get(Dial::DirtyPermille), 0);
    assert!(setting("ACE_DIALS").apply(b"outbox_bytes=64,warm_max=1000", &dials));
    assert_eq!(dials.get(Dial::OutboxBytes), 64);
    assert_eq!(dials.get(Dial::WarmMax), 64, "the nearest value in range");
    let before = turned(&dials);
    assert!(setting("ACE_ROUTE").apply(b"pool-only", &dials));
    assert_ne!(turned(&dials), before);
}

#[test]
fn a_bad_value_changes_nothing() {
    for setting in TABLE {
        let bad: &[&[u8]] = match setting.kind {
            Kind::Bytes { .. } => {
                &[b"x", b"-1", b"k", b"4 m", b"9999999g", b"99999999999999999999"]
            }
            Kind::Number { .. } => &[b"x", b"-1", b"4k", b"1001", b"4294967297", b"\xFF"],
            Kind::Word { .. } => &[b"x", b"ABORT", b"tiny", b"2", b"00", b"Off", b"off "],
            Kind::Dials => {
                &[b"x", b"warm_max", b"warm_max=x", b"nosuch=1", b"warm_max=1,", b"warm_max=1,x=2"]
            }
            Kind::Path { .. } => &[&[b'x'; 1025]],
        };
        for value in bad {
            let dials = Dials::new();
            assert!(!setting.apply(value, &dials), "{} took {value:?}", setting.name);
            assert_eq!(turned(&dials), turned(&Dials::new()), "{}", setting.name);
        }
    }
}

#[test]
fn the_table_is_short_and_its_names_are_unique() {
    assert!(TABLE.len() <= 12, "a new option needs a user who must set it");
    for (index, setting) in TABLE.iter().enumerate() {
        assert!(setting.name.starts_with("ACE_"));
        assert!(TABLE[..index].iter().all(|other| other.name != setting.name));
    }
}

#[test]
fn the_page_in_docs_is_the_table() {
    let mut page = String::new();
    write_page(&mut page).expect("a String takes any text");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ENV_VARS.md");
    let written = std::fs::read_to_string(file).unwrap_or_default();
    let command = "cargo run -p ace-alloc-linux --example env_vars > docs/ENV_VARS.md";
    assert!(page == written, "docs/ENV_VARS.md is not the table's page: run `{command}`");
}
