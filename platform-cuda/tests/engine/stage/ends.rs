//! How a stage comes to an end: by the loss of its device, or in good order.

use super::{super::model::ModelDevice, BUDGET_BYTES, PINNED_BYTES, Stage};
use ace_alloc_cuda::planner::{Handle, Place};

impl Stage {
    /// After the device was lost: what is reported is forgotten, what the host has left is true again.
    pub fn restore(&mut self) {
        assert!(self.host().is_lost());
        self.restored = true;
        while !self.uses.is_empty() {
            assert!(self.uses[0].is_granted, "who waits was refused");
            self.end(0);
        }
        let losses = self.host().losses();
        let device = ModelDevice::new(self.seed ^ 7, 2 * BUDGET_BYTES);
        let other = device.clone();
        self.host().restore(|| Ok(other)).expect("a sound device");
        self.device.model().assert_empty();
        self.device = device;
        for state in self.handles() {
            let loss = losses.iter().find(|loss| loss.state == state);
            let place = self.host().place(state).expect("registered");
            assert_eq!(place == Place::Poisoned, loss.is_some(), "seed {}", self.seed);
            let bytes = self.states[&state].plain.bytes as usize;
            let mut found = vec![0; bytes];
            let answer = self.host().read_host(state, 0, &mut found);
            let shadow = self.states.get_mut(&state).expect("registered");
            shadow.address = None;
            match loss {
                None if shadow.plain.recompute_ns.is_some() && place == Place::Absent => {
                    shadow.truth = None;
                }
                None => {
                    let newest = shadow.truth.as_ref();
                    assert_eq!(answer.ok().map(|()| &found), newest, "seed {}", self.seed);
                }
                Some(loss) => {
                    assert_eq!(answer.is_ok(), loss.host_version.is_some());
                    shadow.truth = answer.is_ok().then(|| found.clone());
                    let known = answer.is_err() || shadow.history.contains(&found);
                    assert!(known, "seed {}: the host copy never was", self.seed);
                    self.host().accept_loss(state).expect("poisoned");
                }
            }
        }
    }

    /// What the state held before the last write.
    pub fn old_contents(&self, state: Handle) -> Vec<u8> {
        let history = &self.states[&state].history;
        history[history.len() - 2].clone()
    }

    pub fn forget_addresses(&mut self) {
        for shadow in self.states.values_mut() {
            shadow.address = None;
        }
    }

    /// Every state is brought to the device once more and looked at; then all is given back.
    pub fn finish(mut self) {
        for state in self.handles() {
            while self.states[&state].pins > 0 {
                self.host().unpin(state).expect("pinned");
                self.states.get_mut(&state).expect("registered").pins -= 1;
            }
            let _ = self.host().retain(state, 0);
        }
        self.host().set_budget(BUDGET_BYTES);
        self.end_all();
        for state in self.handles() {
            let agent = self.states[&state].plain.owners[0];
            let grants = self.grants;
            self.request(agent, &[state]).expect("it fits");
            self.rest();
            assert_eq!(self.grants, grants + 1, "seed {}: {:?}", self.seed, self.refusals.last());
            self.end_all();
        }
        self.rest();
        for state in self.handles() {
            self.unregister(state).expect("not in use");
        }
        self.rest();
        assert_eq!((self.host().stats().states, self.leaving.len()), (0, 0), "seed {}", self.seed);
        assert_eq!(self.host().stats().claimed_bytes, 0);
        self.check_bounds();
        self.host = None;
        self.device.model().assert_empty();
    }

    pub fn end_all(&mut self) {
        for _ in 0..1000 {
            self.rest_or_refuse();
            if self.uses.is_empty() {
                return;
            }
        }
        panic!("seed {}: uses do not end", self.seed);
    }

    fn rest_or_refuse(&mut self) {
        while let Some(at) = self.uses.iter().position(|one| one.is_granted) {
            self.end(at);
        }
        self.turns(50);
    }

    pub fn check_bounds(&mut self) {
        let model = self.device.model();
        assert!(model.most_pinned_bytes <= PINNED_BYTES, "more was pinned than allowed");
        assert!(model.most_created_bytes <= BUDGET_BYTES, "more than the budget");
    }
}
