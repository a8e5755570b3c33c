//! A Rust program on ACE-Alloc: count the words of a text in several threads.
//!
//! `cargo run --release -p ace-alloc-linux --example global -- [FILE]`

use ace_alloc_linux::{AceAlloc, HEAP};
use std::{collections::HashMap, env, fs, thread};

#[global_allocator]
static ALLOC: AceAlloc = AceAlloc::new();

fn main() -> Result<(), std::io::Error> {
    let text = match env::args().nth(1) {
        Some(file) => fs::read_to_string(file)?,
        None => include_str!("global.rs").repeat(1000),
    };
    let lines: Vec<&str> = text.lines().collect();
    let part = lines.len().div_ceil(4).max(1);
    // Each thread counts its part in a map of its own; the maps travel to this thread and die here.
    let maps: Vec<HashMap<String, usize>> = thread::scope(|scope| {
        let threads: Vec<_> =
            lines.chunks(part).map(|part| scope.spawn(move || count(part))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    let mut total = HashMap::new();
    for (word, times) in maps.into_iter().flatten() {
        *total.entry(word).or_insert(0) += times;
    }
    let mut words: Vec<_> = total.into_iter().collect();
    words.sort_by_key(|(word, times)| (usize::MAX - times, word.clone()));
    for (word, times) in words.iter().take(5) {
        println!("{times:8} {word}");
    }
    drop(words);
    let stats = HEAP.stats();
    let live: u64 = stats.classes.iter().map(|class| class.live_blocks).sum();
    println!(
        "heap: {live} blocks in use, {} refills, {} blocks sent home to other threads",
        stats.events.refills, stats.events.remote_sent
    );
    Ok(())
}

fn count(lines: &[&str]) -> HashMap<String, usize> {
    let mut words = HashMap::new();
    for word in lines.iter().flat_map(|line| line.split_whitespace()) {
        *words.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    words
}
