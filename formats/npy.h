/* SPDX-License-Identifier: Apache-2.0 */
/* npy.h: NumPy's arrays: .npy, one of them, and .npz, a zip archive of .npy members.
 *
 *   npy  = "\x93NUMPY", u8 major (1 to 3), u8 minor 0, header bytes (u16, from version 2 on u32),
 *          header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), } and spaces, data
 *
 * Numbers and bools, little-endian, rows one after another; objects, records, complex numbers and
 * big-endian ones are refused by their descr. Members of an archive are stored, as numpy.savez does
 * it; deflated ones are refused. Source: numpy.lib.format. */
#ifndef GRAFT_FORMATS_NPY_H
#define GRAFT_FORMATS_NPY_H

#include "common/base/attr.h"
#include "formats/tensor_file.h"

/* An array is named after the file without folder and ".npy", a member after itself without ".npy".
 * On failure nothing is open. */
enum err npy_open(struct errctx *e, const char *path, struct tensor_file *f) MUST_USE;
enum err npz_open(struct errctx *e, const char *path, struct tensor_file *f) MUST_USE;

#endif
