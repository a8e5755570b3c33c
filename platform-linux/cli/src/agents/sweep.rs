//! `--sweep`: one setting takes several values, and the rest stays as it is. Floor: tool.

use super::args::parse_memory;
use ace_alloc_cuda_sim::experiment::Memory;
use serde_json::Value;

const MIXED: &str = "all sizes of a sweep are percentages, or none";
/// So many values a range has.
const POINTS: u64 = 10;

/// What varies, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum Sweep {
    /// Numbers of agents, on one device.
    Agents(Vec<u32>),
    /// Sizes of the device's memory.
    Memory(Vec<Memory>),
    /// The time to copy a state of mean size over the time of a request's computation.
    Ratio(Vec<f64>),
}

/// One value of what varies.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// The name of the column.
    pub name: &'static str,
    pub value: f64,
}

impl Point {
    pub fn in_words(self) -> String {
        format!("{}", self.value)
    }

    /// A whole number where it is one.
    pub fn json(self) -> Value {
        if self.value.fract() == 0.0 { Value::from(self.value as u64) } else { self.value.into() }
    }
}

impl Sweep {
    pub fn points(&self) -> Vec<Point> {
        match self {
            Self::Agents(numbers) => {
                let point = |number: &u32| Point { name: "agents", value: f64::from(*number) };
                numbers.iter().map(point).collect()
            }
            Self::Memory(sizes) => {
                let point = |size: &Memory| match size {
                    Memory::Percent(percent) => {
                        Point { name: "memory_percent", value: *percent as f64 }
                    }
                    Memory::Bytes(bytes) => Point { name: "memory_bytes", value: *bytes as f64 },
                };
                sizes.iter().map(point).collect()
            }
            Self::Ratio(ratios) => {
                ratios.iter().map(|ratio| Point { name: "ratio", value: *ratio }).collect()
            }
        }
    }
}

/// `agents=100,400,1000`, `agents=100..1000`, `memory=10%..100%`, `ratio=0.2,1,5`.
pub fn parse(text: &str) -> Result<Sweep, String> {
    let (name, values) = text.split_once('=').ok_or(
        "what varies and its values, as in agents=100,400,1000, memory=10%..100% or ratio=0.2,1,5",
    )?;
    match name {
        "agents" => list(
            values,
            parse_agents,
            |number| u64::from(*number),
            |_, number| u32::try_from(number).unwrap_or(u32::MAX),
        )
        .map(Sweep::Agents),
        "memory" => {
            let is_mixed = |(first, last): (&str, &str)| {
                first.trim_end().ends_with('%') != last.trim_end().ends_with('%')
            };
            if values.split_once("..").is_some_and(is_mixed) {
                return Err(MIXED.to_owned());
            }
            let size = |memory: &Memory| match memory {
                Memory::Percent(number) | Memory::Bytes(number) => *number,
            };
            let sizes = list(values, parse_memory, size, |like, number| match like {
                Memory::Percent(_) => Memory::Percent(number),
                Memory::Bytes(_) => Memory::Bytes(number),
            })?;
            let percentages =
                sizes.iter().filter(|size| matches!(size, Memory::Percent(_))).count();
            if percentages != 0 && percentages != sizes.len() {
                return Err(MIXED.to_owned());
            }
            Ok(Sweep::Memory(sizes))
        }
        "ratio" => values.split(',').map(parse_ratio).collect::<Result<_, _>>().map(Sweep::Ratio),
        _ => Err(format!("'{name}' can't be swept: agents, memory and ratio can")),
    }
}

/// Values one by one, or a range of evenly spaced ones.
fn list<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, String>,
    number: impl Fn(&T) -> u64,
    like: impl Fn(&T, u64) -> T,
) -> Result<Vec<T>, String> {
    let Some((first, last)) = text.split_once("..") else {
        return text.split(',').map(parse).collect();
    };
    let (first, last) = (parse(first)?, parse(last)?);
    let (low, high) = (number(&first), number(&last));
    if low >= high {
        return Err(format!("the range {text} does not go upward"));
    }
    let mut numbers: Vec<u64> = (0..POINTS)
        .map(|at| low + ((u128::from(high - low) * u128::from(at)) / u128::from(POINTS - 1)) as u64)
        .collect();
    numbers.dedup();
    Ok(numbers.into_iter().map(|number| like(&first, number)).collect())
}

fn parse_agents(text: &str) -> Result<u32, String> {
    let number = text.trim().parse().ok().filter(|number| (1..=100_000).contains(number));
    number.ok_or_else(|| format!("'{text}' is no number of agents from 1 to 100000"))
}

fn parse_ratio(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim().parse().ok();
    number
        .filter(|ratio| (0.001..=1000.0).contains(ratio))
        .ok_or_else(|| format!("'{text}' is no ratio from 0.001 to 1000"))
}
