//! PTX on the host, as far as `kernels.ptx` uses it, for one test: what the kernel's text computes is what
//! `contents` says. Floor: tool.
//!
//! A warp goes through the text together, one instruction at a time, each lane with registers of its own.
//! Lanes that branch elsewhere wait until the others come to where they are: the lane that is furthest back
//! goes first. Memory is a map of words of 8 bytes.

use crate::contents::{self, WORD};
use std::collections::{BTreeMap, HashMap};

const LANES: usize = 32;
const TEXT: &str = include_str!("kernels.ptx");

/// Registers are 64 bits wide; those of 32 are kept masked, a predicate is 0 or 1.
#[derive(Clone, Default)]
struct Lane {
    at: usize,
    registers: HashMap<&'static str, u64>,
}

struct Kernel {
    /// Split into words: `@guard`, if any, the instruction, its operands.
    code: Vec<Vec<&'static str>>,
    labels: HashMap<&'static str, usize>,
}

impl Kernel {
    fn parse() -> Self {
        let body = TEXT.split_once("\n{").expect("a body").1.trim_end().trim_end_matches('}');
        let (mut code, mut labels) = (Vec::new(), HashMap::new());
        for line in body.lines() {
            let line = line.split("//").next().unwrap_or("").trim();
            if let Some(label) = line.strip_suffix(':') {
                labels.insert(label, code.len());
            } else if !line.is_empty() && !line.starts_with(".reg") {
                let line = line.strip_suffix(';').expect("an instruction ends with a semicolon");
                let words = line.split(|letter: char| letter == ',' || letter.is_whitespace());
                code.push(words.filter(|word| !word.is_empty()).collect());
            }
        }
        Self { code, labels }
    }
}

struct Grid {
    parameters: HashMap<&'static str, u64>,
    memory: BTreeMap<u64, u64>,
    blocks: u64,
    threads: u64,
}

impl Grid {
    fn run(&mut self, kernel: &Kernel) {
        for block in 0..self.blocks {
            for first in (0..self.threads).step_by(LANES) {
                self.warp(kernel, block, first);
            }
        }
    }

    fn warp(&mut self, kernel: &Kernel, block: u64, first: u64) {
        let mut lanes = vec![Lane::default(); LANES];
        for (lane, thread) in lanes.iter_mut().zip(first..) {
            let special =
                [("%ctaid.x", block), ("%ntid.x", self.threads), ("%nctaid.x", self.blocks)];
            lane.registers.extend(special);
            lane.registers.insert("%tid.x", thread);
        }
        while let Some(at) =
            lanes.iter().map(|lane| lane.at).min().filter(|at| *at < kernel.code.len())
        {
            let here: Vec<usize> = (0..LANES).filter(|lane| lanes[*lane].at == at).collect();
            self.step(kernel, &mut lanes, &here);
        }
    }

    fn step(&mut self, kernel: &Kernel, lanes: &mut [Lane], here: &[usize]) {
        let words = &kernel.code[lanes[here[0]].at];
        if words[0].starts_with("shfl") {
            assert_eq!(here.len(), LANES, "a shuffle needs all lanes");
            return shuffle(words, lanes);
        }
        for lane in here {
            let lane = &mut lanes[*lane];
            let (guard, rest) = match words[0].strip_prefix('@') {
                Some(guard) => (lane.registers[guard] == 1, &words[1..]),
                None => (true, &words[..]),
            };
            lane.at += 1;
            match rest {
                ["bra", label] if guard => lane.at = kernel.labels[label],
                ["ret"] => lane.at = usize::MAX,
                _ if guard => self.execute(rest, lane),
                _ => {}
            }
        }
    }

    fn execute(&mut self, words: &[&'static str], lane: &mut Lane) {
        let value = |operand: &'static str| value(operand, &lane.registers);
        let address = |operand: &'static str| {
            let inner = operand.trim_matches(['[', ']']);
            let (name, offset) = inner.split_once('+').unwrap_or((inner, "0"));
            lane.registers[name] + offset.parse::<u64>().expect("an offset")
        };
        let (to, result) = match *words {
            ["ld.param.u64" | "ld.param.u32", to, name] => {
                (to, self.parameters[name.trim_matches(['[', ']'])])
            }
            ["ld.global.u64", to, from] => (to, self.memory[&address(from)]),
            ["st.global.u64", to, from] => {
                self.memory.insert(address(to), value(from));
                return;
            }
            ["red.global.add.u64", to, from] => {
                let sum = self.memory.entry(address(to)).or_default();
                *sum = sum.wrapping_add(value(from));
                return;
            }
            ["mov.b64", "{%low", "%high}", from] => {
                let whole = value(from);
                lane.registers.extend([("%low", whole & 0xFFFF_FFFF), ("%high", whole >> 32)]);
                return;
            }
            ["mov.b64", to, "{%low", "%high}"] => (to, value("%low") | value("%high") << 32),
            ["mov.u32" | "mov.u64" | "cvt.u64.u32" | "cvta.to.global.u64", to, from] => {
                (to, value(from))
            }
            [name, to, left, right] => (to, binary(name, value(left), value(right))),
            _ => panic!("{words:?} is not known here"),
        };
        lane.registers.insert(to, result);
    }
}

fn binary(name: &str, left: u64, right: u64) -> u64 {
    match name {
        "add.u64" => left.wrapping_add(right),
        "mul.lo.u64" => left.wrapping_mul(right),
        // Both are below 2^32.
        "mul.wide.u32" => left * right,
        "sub.u32" => left.wrapping_sub(right) & 0xFFFF_FFFF,
        "and.b32" => left & right,
        "xor.b64" => left ^ right,
        "shl.b64" => left << right,
        "shr.u64" => left >> right,
        "setp.ge.u64" => u64::from(left >= right),
        "setp.lt.u64" => u64::from(left < right),
        "setp.eq.u32" => u64::from(left == right),
        "setp.ne.u32" => u64::from(left != right),
        _ => panic!("{name} is not known here"),
    }
}

fn value(operand: &'static str, registers: &HashMap<&'static str, u64>) -> u64 {
    if operand.starts_with('%') {
        return registers[operand];
    }
    let parsed = match operand.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => operand.parse(),
    };
    parsed.expect("a register or a number")
}

/// `shfl.sync.down.b32 to, from, delta, 31, all`: who would look beyond the warp keeps what it has.
fn shuffle(words: &[&'static str], lanes: &mut [Lane]) {
    let ["shfl.sync.down.b32", to, from, delta, "31", "0xFFFFFFFF"] = *words else {
        panic!("{words:?} is not known here");
    };
    let delta: usize = delta.parse().expect("a number of lanes");
    let before: Vec<u64> = lanes.iter().map(|lane| lane.registers[from]).collect();
    for (number, lane) in lanes.iter_mut().enumerate() {
        lane.registers.insert(to, *before.get(number + delta).unwrap_or(&before[number]));
        lane.at += 1;
    }
}

/// Runs the kernel on words from address 0 on; digests are added to 1, 2 and 3.
fn run(
    (blocks, threads): (u64, u64),
    words: &[u64],
    (first, rounds, key): (u64, u32, u64),
) -> Grid {
    const SUMS: u64 = 1 << 40;
    let place = |at: u64| at * WORD;
    let memory = (0..).map(place).zip(words.iter().copied());
    let sums = (0..3).map(|at| (SUMS + place(at), at + 1));
    let parameters = [
        ("data", 0),
        ("words", words.len() as u64),
        ("first", first),
        ("rounds", rounds.into()),
        ("key", key),
        ("sums", SUMS),
    ];
    let parameters = parameters.into_iter().collect();
    let mut grid = Grid { parameters, memory: memory.chain(sums).collect(), blocks, threads };
    grid.run(&Kernel::parse());
    grid
}

#[test]
fn the_kernels_text_computes_what_the_model_says() {
    // Fewer words than threads, as many, more, and a last round of the loop that is not full.
    for (shape, count) in [((1, 32), 5u64), ((1, 32), 32), ((2, 64), 300), ((3, 96), 1000)] {
        let words: Vec<u64> = (0..count).map(|at| contents::initial(7, at)).collect();
        for (first, rounds, key) in [(0, 0, 1), (0, 1, 2), (count / 2, 5, u64::MAX), (count, 3, 4)]
        {
            let grid = run(shape, &words, (first, rounds, key));
            let mut expected = [1u64, 2, 3];
            for (at, word) in (0..).zip(words.iter().copied()) {
                let mixed = contents::mix(word, at, rounds, key);
                let now = if at < first { word } else { mixed };
                assert_eq!(grid.memory[&(at * WORD)], now, "word {at} of {count}, {rounds} rounds");
                for (sum, word) in expected.iter_mut().zip([word, now, mixed]) {
                    *sum = sum.wrapping_add(contents::term(word, at));
                }
            }
            let sums: Vec<u64> = grid.memory.range(1 << 40..).map(|(_, sum)| *sum).collect();
            assert_eq!(sums, expected, "{count} words, first {first}, {rounds} rounds, key {key}");
        }
    }
}
