//! What the link does: its speed in each direction, and how long it had nothing urgent to carry. Floor:
//! ground.

/// A new measurement counts for a quarter: chosen; it settles within some ten chunks.
const OLD_PARTS: u64 = 3;

/// The speed of a lane, measured while it is busy.
#[derive(Debug)]
pub(super) struct Meter {
    /// Fewer bytes are too few to measure by: the polling would be measured instead.
    least_bytes: u64,
    bytes_per_second: Option<u64>,
    since_ns: u64,
    bytes: u64,
    carried_bytes: u64,
}

impl Meter {
    pub const fn new(least_bytes: u64) -> Self {
        Self { least_bytes, bytes_per_second: None, since_ns: 0, bytes: 0, carried_bytes: 0 }
    }

    /// The lane was idle and is given something.
    pub const fn begin(&mut self, now_ns: u64) {
        (self.since_ns, self.bytes) = (now_ns, 0);
    }

    /// So many bytes have arrived, the lane busy all the time.
    pub fn arrived(&mut self, now_ns: u64, bytes: u64) {
        self.carried_bytes += bytes;
        self.bytes += bytes;
        let passed_ns = now_ns.saturating_sub(self.since_ns);
        if self.bytes < self.least_bytes || passed_ns == 0 {
            return;
        }
        let speed = u128::from(self.bytes) * 1_000_000_000 / u128::from(passed_ns);
        let speed = u64::try_from(speed).unwrap_or(u64::MAX).max(1);
        let mixed = |old: u64| (old / (OLD_PARTS + 1) * OLD_PARTS).saturating_add(speed / 4).max(1);
        self.bytes_per_second = Some(self.bytes_per_second.map_or(speed, mixed));
        self.begin(now_ns);
    }

    /// `None` before the first measurement.
    pub const fn bytes_per_second(&self) -> Option<u64> {
        self.bytes_per_second
    }

    pub const fn carried_bytes(&self) -> u64 {
        self.carried_bytes
    }
}

/// The time between two reports of what the link had to spare.
#[derive(Debug)]
pub(super) struct Window {
    begun_ns: u64,
    seen_ns: u64,
    urgent_ns: u64,
}

impl Window {
    pub const fn new() -> Self {
        Self { begun_ns: 0, seen_ns: 0, urgent_ns: 0 }
    }

    /// Since the last call the link carried something that somebody waits for, or not.
    pub const fn pass(&mut self, now_ns: u64, urgent: bool) {
        let passed_ns = now_ns.saturating_sub(self.seen_ns);
        self.seen_ns = now_ns;
        if urgent {
            self.urgent_ns += passed_ns;
        }
    }

    pub const fn length_ns(&self) -> u64 {
        self.seen_ns.saturating_sub(self.begun_ns)
    }

    /// Ends the window. Returns how much of it was spare.
    pub const fn end(&mut self) -> u64 {
        let spare_ns = self.length_ns().saturating_sub(self.urgent_ns);
        (self.begun_ns, self.urgent_ns) = (self.seen_ns, 0);
        spare_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_speed_is_measured_while_the_lane_is_busy_and_follows_changes() {
        let mut meter = Meter::new(1000);
        meter.begin(5_000_000_000);
        meter.arrived(5_000_001_000, 500);
        assert_eq!(meter.bytes_per_second(), None, "too little to measure by");
        meter.arrived(5_000_002_000, 500);
        assert_eq!(meter.bytes_per_second(), Some(500_000_000), "1000 bytes in 2 microseconds");
        // Idle for a second, which does not count, and then twice as fast.
        meter.begin(6_000_000_000);
        let mut now_ns = 6_000_000_000;
        for _ in 0..40 {
            now_ns += 1000;
            meter.arrived(now_ns, 1000);
        }
        let speed = meter.bytes_per_second().unwrap_or(0);
        assert!((990_000_000..=1_000_000_000).contains(&speed), "{speed}");
    }

    #[test]
    fn only_what_somebody_waits_for_takes_from_the_spare_time() {
        let mut window = Window::new();
        window.pass(100, false);
        window.pass(150, true);
        window.pass(400, false);
        assert_eq!((window.length_ns(), window.end()), (400, 350));
        window.pass(500, true);
        assert_eq!(window.end(), 0);
    }
}
