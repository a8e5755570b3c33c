//! Prints what allocators cost a microcontroller in code and static memory, as a table or with `--json`.

use ace_alloc_tests::flash::{Cost, costs};
use serde_json::{Value, json};
use std::env;

fn main() {
    let costs = costs();
    if env::args().any(|argument| argument == "--json") {
        let rows: Vec<Value> = costs.iter().map(row).collect();
        println!("{}", json!({ "target": "thumbv7em-none-eabihf", "bytes": rows }));
        return;
    }
    println!("bytes beyond a bump heap's, thumbv7em-none-eabihf, opt-level s, LTO, panic = abort");
    println!(
        "{:20} {:>14} {:>14} {:>8}",
        "allocator", "alloc and free", "all four calls", "static"
    );
    for Cost { image, code, code_of_all, statics } in &costs {
        println!("{image:20} {code:>14} {code_of_all:>14} {statics:>8}");
    }
}

fn row(cost: &Cost) -> Value {
    json!({
        "allocator": cost.image,
        "code": cost.code,
        "code_of_all": cost.code_of_all,
        "statics": cost.statics,
    })
}
