//! What an allocator costs a microcontroller in code and static memory: images for thumbv7em that differ in
//! nothing but the allocator (`tests/firmware/flash`), compared with a bump heap's.

use crate::firmware;
use object::{Object, ObjectSection};
use std::fs;
use std::path::Path;

const TARGET: &str = "thumbv7em-none-eabihf";
/// The images, of which the first is the one that the others are compared with.
const IMAGES: &[&str] = &[
    "bump",
    "ace_micro",
    "ace_mini",
    "ace_wide",
    "ace_bounded",
    "buddy",
    "embedded_alloc_llff",
    "embedded_alloc_tlsf",
    "good_memory",
    "linked_list",
    "rlsf",
    "talc",
];
/// `ARENA_BYTES` of the images: no part of what an allocator costs.
const ARENA: u64 = 64 << 10;

/// What one allocator costs, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The image's name.
    pub image: &'static str,
    /// Code and constants that a bump heap's image doesn't have, of a program that allocates and frees.
    pub code: i64,
    /// Likewise of a program that also wants zeroed memory and resizes blocks, as `Vec` does.
    pub code_of_all: i64,
    /// Static memory beside the heap's own, which may hold control data as well.
    pub statics: u64,
}

/// Builds the images and reads their sections: the bump heap comes first.
///
/// # Panics
/// If they can't be built.
#[must_use]
pub fn costs() -> Vec<Cost> {
    let some = sizes(&[]);
    let all = sizes(&["--features", "resizes"]);
    let beyond = |sizes: &[Size], at: usize| sizes[at].code as i64 - sizes[0].code as i64;
    let cost = |at: usize| Cost {
        image: IMAGES[at],
        code: beyond(&some, at),
        code_of_all: beyond(&all, at),
        statics: all[at].memory - ARENA,
    };
    (0..IMAGES.len()).map(cost).collect()
}

struct Size {
    code: u64,
    memory: u64,
}

fn sizes(arguments: &[&str]) -> Vec<Size> {
    let folder = firmware::build("ace-firmware-flash", TARGET, arguments);
    IMAGES.iter().map(|image| size(&folder.join(image))).collect()
}

fn size(image: &Path) -> Size {
    let bytes = fs::read(image).expect("an image");
    let file = object::File::parse(&*bytes).expect("an ELF file");
    let sum = |names: &[&str]| {
        names.iter().filter_map(|name| file.section_by_name(name)).map(|found| found.size()).sum()
    };
    // Initial values lie in flash too.
    Size { code: sum(&[".text", ".rodata", ".data"]), memory: sum(&[".data", ".bss", ".uninit"]) }
}
