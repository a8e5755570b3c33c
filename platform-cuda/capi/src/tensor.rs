//! States in use as DLPack tensors. Each holds the use: the state can't leave the device while one lives.
//! Floor: roof.

use crate::dlpack::{self, DLManagedTensor, DLManagedTensorVersioned, DataType, Device, Tensor};
use crate::foreign;
use crate::lease::{AceCudaLease, LEASES, Use};
use crate::open::AceCudaState;
use crate::status::{AceCudaStatus, Failure, answer};
use std::ptr;
use std::sync::Arc;

/// What a consumer holds, with all that it points to. The wrapping comes first: its address is the
/// export's.
#[repr(C)]
struct Export<W> {
    wrapping: W,
    sizes: Vec<i64>,
    held: Arc<Use>,
}

/// What a tensor is to show.
struct View<'a> {
    state: AceCudaState,
    offset_bytes: u64,
    dtype: DataType,
    shape: &'a [i64],
}

/// The numbers of elements between neighbours of each dimension, the last one moving fastest, and the number
/// of all elements.
fn strides(shape: &[i64]) -> Option<(Vec<i64>, u64)> {
    let mut strides = Vec::with_capacity(shape.len());
    let (mut stride, mut elements) = (1_i64, 1_u64);
    for size in shape.iter().rev() {
        strides.push(stride);
        stride = stride.checked_mul((*size).max(1))?;
        elements = elements.checked_mul(u64::try_from(*size).ok()?)?;
    }
    strides.reverse();
    Some((strides, elements))
}

/// The tensor, and its shape and strides, to which it points.
fn tensor(held: &Use, view: &View<'_>) -> Result<(Tensor, Vec<i64>), Failure> {
    let (named, address) = held.state(view.state)?;
    let DataType { code, bits, .. } = view.dtype;
    if code > dlpack::LAST_TYPE_CODE || !(1..=128).contains(&bits) {
        let message = format_args!("there is no data type of code {code} and {bits} bits");
        return Err(Failure::argument(message));
    }
    let element_bytes = u64::from(bits).div_ceil(8);
    if !view.offset_bytes.is_multiple_of(element_bytes) {
        let message = format_args!("an offset of {} would split an element", view.offset_bytes);
        return Err(Failure::argument(message));
    }
    let too_large = || {
        let (shape, bytes) = (view.shape, named.bytes);
        Failure::argument(format_args!("the shape {shape:?} does not fit into {bytes} bytes"))
    };
    let (strides, elements) = strides(view.shape).ok_or_else(too_large)?;
    let bytes = elements.checked_mul(u64::from(bits)).map(|bits| bits.div_ceil(8));
    let end = bytes.and_then(|bytes| bytes.checked_add(view.offset_bytes));
    end.filter(|end| *end <= named.bytes).ok_or_else(too_large)?;
    // An empty tensor has no address, by the header's words.
    let start = if elements == 0 { 0 } else { address.plus(view.offset_bytes).0 };
    let device = match held.session.has_host_pointers {
        true => Device { device_type: dlpack::CPU, device_id: 0 },
        false => Device {
            device_type: dlpack::CUDA,
            device_id: i32::try_from(held.session.device).unwrap_or(i32::MAX),
        },
    };
    let mut sizes = [view.shape, &strides].concat();
    let ndim = i32::try_from(view.shape.len()).map_err(|_| too_large())?;
    let shape = sizes.as_mut_ptr();
    let tensor = Tensor {
        data: ptr::with_exposed_provenance_mut(usize::try_from(start).unwrap_or_default()),
        device,
        ndim,
        dtype: view.dtype,
        shape,
        strides: shape.wrapping_add(view.shape.len()),
        byte_offset: 0,
    };
    Ok((tensor, sizes))
}

fn legacy(dl_tensor: Tensor) -> DLManagedTensor {
    unsafe extern "C" fn deleter(tensor: *mut DLManagedTensor) {
        // SAFETY: `export` made it of this type; consumers call the deleter once.
        unsafe { delete(tensor) };
    }
    DLManagedTensor { dl_tensor, manager_ctx: ptr::null_mut(), deleter: Some(deleter) }
}

fn versioned(dl_tensor: Tensor) -> DLManagedTensorVersioned {
    unsafe extern "C" fn deleter(tensor: *mut DLManagedTensorVersioned) {
        // SAFETY: as of `legacy`.
        unsafe { delete(tensor) };
    }
    DLManagedTensorVersioned {
        version: dlpack::VERSION,
        manager_ctx: ptr::null_mut(),
        deleter: Some(deleter),
        flags: 0,
        dl_tensor,
    }
}

/// # Safety
/// It is null, or came from `export` and nobody uses it any more.
unsafe fn delete<W>(wrapping: *mut W) {
    if !wrapping.is_null() {
        // SAFETY: the wrapping is the first field of an export that `export` let go of.
        drop(unsafe { Box::from_raw(wrapping.cast::<Export<W>>()) });
    }
}

/// # Safety
/// `shape` holds `ndim` numbers.
unsafe fn view<'a>(
    state: AceCudaState,
    offset_bytes: u64,
    (code, bits): (u8, u8),
    shape: *const i64,
    ndim: i32,
) -> Result<View<'a>, Failure> {
    let bad_ndim = |_| Failure::argument(format_args!("ndim is {ndim}"));
    let count = usize::try_from(ndim).map_err(bad_ndim)?;
    // SAFETY: the caller's promise.
    let shape = unsafe { foreign::list(shape, count, "shape") }?;
    Ok(View { state, offset_bytes, dtype: DataType { code, bits, lanes: 1 }, shape })
}

fn export<W>(
    lease: AceCudaLease,
    view: &View<'_>,
    wrap: impl FnOnce(Tensor) -> W,
) -> Result<*mut W, Failure> {
    let held = LEASES.get(lease)?;
    let (tensor, sizes) = tensor(&held, view)?;
    Ok(Box::into_raw(Box::new(Export { wrapping: wrap(tensor), sizes, held })).cast())
}

/// A part of a state of a lease as a DLPack tensor, row-major, without a copy: of the device, or of the CPU
/// if the engine was opened with ACE_CUDA_HOST_POINTERS. `code` and `bits` are those of DLDataType, lanes are
/// 1. The tensor begins `offset_bytes` into the state, a multiple of an element's size.
///
/// The state stays in use until the consumer has called the tensor's `deleter`, also when the lease was
/// ended before. Who writes through a tensor calls ace_cuda_wrote while the lease has not ended.
///
/// # Safety
/// `shape` holds `ndim` numbers. `tensor` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_dlpack(
    lease: AceCudaLease,
    state: AceCudaState,
    offset_bytes: u64,
    code: u8,
    bits: u8,
    shape: *const i64,
    ndim: i32,
    tensor: *mut *mut DLManagedTensor,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { foreign::place(tensor, "tensor") }?;
        // SAFETY: as above.
        let view = unsafe { view(state, offset_bytes, (code, bits), shape, ndim) }?;
        place.write(export(lease, &view, legacy)?);
        Ok(())
    })
}

/// As ace_cuda_dlpack, in the wrapping of DLPack 1.0 and later.
///
/// # Safety
/// As ace_cuda_dlpack.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ace_cuda_dlpack_versioned(
    lease: AceCudaLease,
    state: AceCudaState,
    offset_bytes: u64,
    code: u8,
    bits: u8,
    shape: *const i64,
    ndim: i32,
    tensor: *mut *mut DLManagedTensorVersioned,
) -> AceCudaStatus {
    answer(|| {
        // SAFETY: the caller's promise.
        let place = unsafe { foreign::place(tensor, "tensor") }?;
        // SAFETY: as above.
        let view = unsafe { view(state, offset_bytes, (code, bits), shape, ndim) }?;
        place.write(export(lease, &view, versioned)?);
        Ok(())
    })
}
