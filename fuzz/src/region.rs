//! Plans for a region heap: a scale, regions, and the steps that the yard of the tests plays on them.

use ace_alloc_tests::regions::{SCALES, Step};
use arbitrary::{Arbitrary, Result, Unstructured};

/// Steps of a plan.
const MOST_STEPS: usize = 600;
/// Bytes of a region: small, so that it is full soon.
const MOST_BYTES: usize = 12 << 10;

/// See the module's documentation.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Number of the scale.
    pub scale: usize,
    /// Regions: bytes, and how far behind a page they begin.
    pub regions: Vec<(usize, usize)>,
    /// What is played.
    pub steps: Vec<Step>,
}

fn region(bytes: &mut Unstructured<'_>) -> Result<(usize, usize)> {
    let size = usize::from(bytes.arbitrary::<u16>()?) % MOST_BYTES;
    Ok((size + 64, usize::from(bytes.arbitrary::<u8>()?)))
}

/// Small sizes mostly; now and then one that fills a region, or no region has.
fn size(bytes: &mut Unstructured<'_>) -> Result<usize> {
    let small = usize::from(bytes.arbitrary::<u8>()?);
    Ok(match small {
        0..200 => small,
        200..254 => (small - 199) * 64,
        254 => usize::from(bytes.arbitrary::<u16>()?),
        _ => bytes.arbitrary::<u32>()? as usize,
    })
}

fn step(bytes: &mut Unstructured<'_>) -> Result<Step> {
    Ok(match bytes.arbitrary::<u8>()? {
        0..90 => Step::Take(size(bytes)?, 0),
        90..110 => Step::Take(size(bytes)?, u32::from(bytes.arbitrary::<u8>()? % 14)),
        110..190 => Step::Free(usize::from(bytes.arbitrary::<u8>()?)),
        190..240 => Step::Resize(usize::from(bytes.arbitrary::<u8>()?), size(bytes)?),
        240..246 => Step::Trim,
        246..254 => Step::Turn(u64::from(bytes.arbitrary::<u8>()?) * 4),
        _ => {
            let (bytes, skipped) = region(bytes)?;
            Step::Claim(bytes, skipped)
        }
    })
}

impl<'a> Arbitrary<'a> for Plan {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        let head = usize::from(bytes.arbitrary::<u8>()?);
        let (scale, count) = (head % SCALES, head / SCALES % 3 + 1);
        let regions = (0..count).map(|_| region(bytes)).collect::<Result<_>>()?;
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < MOST_STEPS {
            steps.push(step(bytes)?);
        }
        Ok(Self { scale, regions, steps })
    }
}
