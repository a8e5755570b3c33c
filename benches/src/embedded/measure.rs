//! Owns the course of the comparison: which heap is asked what, when, and beside whom.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::lines::{Line, figures};
use super::plan::{Group, Load};
use super::worker::{Heap, Worker};
use super::{Comparison, Unfit};
use crate::cli::EmbeddedArgs;
use crate::machine;

/// A comparison on its way, and how far it is.
pub struct Course<'a> {
    worker: &'a Worker,
    rounds: usize,
    /// How long a process that is timed waits for the CPUs to be idle.
    quiet: Duration,
    bar: ProgressBar,
}

/// A heap under a load.
type Pair<'a> = (&'a Load, &'a Heap);

/// What a heap said in the rounds, or why it has no figures.
type Said = Result<Vec<Value>, String>;

impl<'a> Course<'a> {
    /// At the start.
    pub fn new(worker: &'a Worker, args: &EmbeddedArgs, comparison: &Comparison) -> Self {
        let rounds = args.rounds as usize;
        let (loads, heaps) = (&comparison.loads, &comparison.heaps);
        let processes = |load: &Load| {
            let heaps = heaps.iter().filter(|heap| fits(heap, load.group)).count();
            let each = if load.timed { rounds } else { 1 };
            heaps * (each + usize::from(is_verified(load)))
        };
        let bar = ProgressBar::new(loads.iter().map(processes).sum::<usize>() as u64);
        let template = "embedded {bar:32} {pos}/{len} processes, {elapsed}  {wide_msg}";
        bar.set_style(ProgressStyle::with_template(template).expect("the template is valid"));
        bar.enable_steady_tick(Duration::from_millis(500));
        let quiet = Duration::from_secs(u64::from(args.workers.quiet));
        Self { worker, rounds, quiet, bar }
    }

    /// Lets something be printed where the bar is.
    pub fn pause(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// At the end.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// Every load of the group with every heap that fits: what a clock watches alone on the machine, in
    /// rounds, each of which begins with another heap; all else on all CPUs.
    pub fn run(&self, group: Group, comparison: &mut Comparison) {
        let Comparison { heaps, loads, lines, unfit, .. } = comparison;
        let heaps = Vec::from_iter(heaps.iter().filter(|heap| fits(heap, group)));
        let loads = loads.iter().filter(|load| load.group == group);
        let (timed, counted) = loads.partition::<Vec<&Load>, _>(|load| load.timed);
        let mut note = |pair: Pair, said: Said| match said {
            Ok(values) => lines.0.extend(lines_of(pair, &values)),
            Err(why) => unfit.push(Unfit::new(pair, why)),
        };
        let counted = pairs(&counted, &heaps);
        let said = spread(&counted, |&pair| self.ask(pair).map(|value| vec![value]));
        counted.into_iter().zip(said).for_each(|(pair, said)| note(pair, said));
        for load in timed {
            let mut fit = heaps.clone();
            if is_verified(load) {
                let checked = pairs(&[load], &heaps);
                let found = spread(&checked, |&pair| self.verify(pair));
                for (pair, found) in checked.into_iter().zip(found) {
                    if let Err(why) = found {
                        fit.retain(|heap| heap.name != pair.1.name);
                        note(pair, Err(why));
                        self.bar.inc(self.rounds as u64);
                    }
                }
            }
            let said = self.rounds(load, &fit);
            fit.iter().zip(said).for_each(|(heap, said)| note((load, heap), said));
        }
    }

    /// Each heap once a round, alone.
    fn rounds(&self, load: &Load, heaps: &[&Heap]) -> Vec<Said> {
        let mut said = Vec::from_iter(heaps.iter().map(|_| Said::Ok(Vec::new())));
        for round in 0..self.rounds {
            for turn in 0..heaps.len() {
                let at = (round + turn) % heaps.len();
                let Ok(values) = &mut said[at] else {
                    self.bar.inc(1);
                    continue;
                };
                machine::wait_until_idle(self.quiet);
                match self.ask((load, heaps[at])) {
                    Ok(value) => values.push(value),
                    Err(why) => said[at] = Err(why),
                }
            }
        }
        said
    }

    fn ask(&self, (load, heap): Pair) -> Result<Value, String> {
        self.bar.set_message(format!("{}: {}: {}", load.group.word(), load.name, heap.name));
        let said = self.worker.ask(heap, load);
        self.bar.inc(1);
        said
    }

    /// Does the heap keep its promises? The floor is no allocator: it hands out what is taken.
    fn verify(&self, (load, heap): Pair) -> Result<(), String> {
        self.bar.set_message(format!("check: {}: {}", load.name, heap.name));
        let verified = self.worker.verify(heap, load);
        self.bar.inc(1);
        if heap.is_floor() { Ok(()) } else { verified }
    }
}

/// Does this heap take part in this group?
fn fits(heap: &Heap, group: Group) -> bool {
    match group {
        Group::Speed => true,
        Group::Latency => heap.is_floor() || !heap.is_bare(),
        Group::Threads | Group::Usable | Group::Fragments => !heap.is_bare(),
    }
}

/// Each of the heaps under each of the loads.
fn pairs<'a>(loads: &[&'a Load], heaps: &[&'a Heap]) -> Vec<Pair<'a>> {
    loads.iter().flat_map(|&load| heaps.iter().map(move |&heap| (load, heap))).collect()
}

/// Is there a pass before it that checks every block?
fn is_verified(load: &Load) -> bool {
    load.group == Group::Speed
}

/// The figures of one heap under one load, each over all rounds.
fn lines_of((load, heap): Pair, values: &[Value]) -> Vec<Line> {
    let mut rounds = BTreeMap::<String, Vec<f64>>::new();
    let mut order = Vec::new();
    for (figure, number) in values.iter().flat_map(|value| figures(load, value)) {
        let list = rounds.entry(figure.clone()).or_default();
        if list.is_empty() {
            order.push(figure);
        }
        list.push(number);
    }
    let line = |figure: String| {
        rounds.remove(&figure).map(|list| Line::new(load, &heap.name, &figure, list))
    };
    order.into_iter().filter_map(line).collect()
}

/// Does the jobs on as many threads as there are CPUs; the results in the order of the jobs.
fn spread<J: Sync, R: Send>(jobs: &[J], work: impl Fn(&J) -> R + Sync) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let one = || {
        // Relaxed: only the number counts.
        while let Some((at, job)) =
            jobs.iter().enumerate().nth(next.fetch_add(1, Ordering::Relaxed))
        {
            let result = work(job);
            done.lock().expect("no job panics").insert(at, result);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(one))));
    done.into_inner().expect("no job panics").into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::spread;

    #[test]
    fn results_stand_in_the_order_of_the_jobs() {
        let jobs = Vec::from_iter(0..100);
        assert_eq!(spread(&jobs, |job| job * 2), Vec::from_iter((0..100).map(|job| job * 2)));
    }
}
