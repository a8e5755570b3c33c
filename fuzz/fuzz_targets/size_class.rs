//! The laws of size classes: what a class holds, that it is the smallest, that a larger request never
//! gets a smaller one, and how blocks lie in slabs.
#![no_main]

use ace_alloc::SizeClass;
use ace_alloc::geometry::{Geometry, Host, HostTail, Small, shape_of};
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Request {
    bytes: u32,
    other: u32,
    shift: u8,
}

/// The smallest class that would do, found by looking at all of them.
fn smallest(bytes: usize, align: usize) -> Option<SizeClass> {
    let grain = align.max(8);
    let fits = |class: &SizeClass| class.bytes() >= bytes && class.bytes().is_multiple_of(grain);
    SizeClass::all().filter(fits).min_by_key(|class| class.bytes())
}

fn a_class_is_the_smallest_that_holds_the_request(bytes: usize) {
    let found = SizeClass::of(bytes);
    assert_eq!(found, smallest(bytes, 16), "of({bytes})");
    let Some(class) = found else { return };
    assert_eq!(SizeClass::of(class.bytes()), Some(class), "a class holds its own size");
    assert_eq!(SizeClass::new(class.index()), class, "numbers name classes");
    if bytes <= SizeClass::TINY_MAX {
        assert_eq!(SizeClass::tiny(bytes), class, "tiny({bytes})");
    } else {
        assert_eq!(SizeClass::mid(bytes), class, "mid({bytes})");
    }
    let waste = class.bytes() - bytes.max(1);
    assert!(waste < 16 || waste * 4 <= bytes, "{waste} bytes more than the {bytes} asked for");
}

fn an_aligned_class_is_the_smallest_that_is_aligned(bytes: usize, align: usize) {
    let found = SizeClass::aligned(bytes, align);
    assert_eq!(found, smallest(bytes, align), "aligned({bytes}, {align})");
    let narrow = found.is_some_and(|class| !class.bytes().is_multiple_of(16));
    assert_eq!(SizeClass::is_narrow(bytes, align), narrow, "is_narrow({bytes}, {align})");
}

fn a_larger_request_gets_no_smaller_class(one: usize, other: usize) {
    let (less, more) = (one.min(other), one.max(other));
    if let (Some(small), Some(large)) = (SizeClass::of(less), SizeClass::of(more)) {
        assert!(small <= large && small.bytes() <= large.bytes(), "of({less}), of({more})");
    }
}

fn offsets_in_a_slab_name_their_block<G: Geometry>(class: SizeClass, offset: usize) {
    let shape = shape_of::<G>(class);
    if class.bytes() > G::CLASS_MAX {
        assert_eq!(shape.bytes, 0, "a class above CLASS_MAX has no slabs");
        return;
    }
    let slab = usize::from(shape.units) * G::UNIT;
    let (bytes, offset) = (class.bytes(), offset % slab);
    assert_eq!(shape.bytes as usize, bytes);
    assert_eq!(shape.index_of(offset), offset / bytes, "offset {offset}, blocks of {bytes}");
    let capacity = usize::from(shape.capacity);
    assert!(capacity >= 2 && capacity * bytes <= slab, "{capacity} blocks of {bytes}");
}

fuzz_target!(|request: Request| {
    // Twice as far as classes reach.
    let most = SizeClass::MAX_BYTES as u32 * 2;
    let (bytes, other) = ((request.bytes % most) as usize, (request.other % most) as usize);
    let align = 1 << (request.shift % 20);
    a_class_is_the_smallest_that_holds_the_request(bytes);
    an_aligned_class_is_the_smallest_that_is_aligned(bytes, align);
    a_larger_request_gets_no_smaller_class(bytes, other);
    let class = SizeClass::new(other % SizeClass::USED);
    let offset = request.bytes as usize;
    offsets_in_a_slab_name_their_block::<Host>(class, offset);
    offsets_in_a_slab_name_their_block::<HostTail>(class, offset);
    offsets_in_a_slab_name_their_block::<Small>(class, offset);
});
