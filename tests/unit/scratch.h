/* SPDX-License-Identifier: Apache-2.0 */
/* scratch.h: a folder of its own for a test program, which works in it: group setup and teardown
 * of cmocka. */
#ifndef GRAFT_TESTS_SCRATCH_H
#define GRAFT_TESTS_SCRATCH_H

/* Makes the folder and goes there. */
int scratch_enter(void **state);
/* Goes back to where scratch_enter was called and removes the folder with what is in it. */
int scratch_leave(void **state);
/* The same for tests that must have removed every file themselves: fails when something is left. */
int scratch_leave_empty(void **state);

#endif
