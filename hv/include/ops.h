/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CARREL_OPS_H
#define CARREL_OPS_H

/* The lists of hypercalls and sub-operations (xen/hypercalls.def and the *_ops.def beside it), as cases of a switch. Who includes
 * one defines OP(name), the case that calls the handler, and CASE(name), the label alone. */
#define OPS(...)          EACH(OP, __VA_ARGS__)
#define NOTHING(...)      EACH(CASE, __VA_ARGS__) return 0;     /* succeeds without doing anything */
#define REFUSED(err, ...) EACH(CASE, __VA_ARGS__) return -err;

/* EACH(F, a, b, ...) is F(a) F(b) and so on, up to 85 of them: one more is taken each time the text is read again. */
#ifdef __cppcheck__ /* loses itself in it */
#define EACH(F, ...)
#else
#define EACH(F, ...)         EACH_READ(EACH_NEXT(F, __VA_ARGS__))
#define EACH_NEXT(F, x, ...) F(x) __VA_OPT__(EACH_LATER EACH_NONE (F, __VA_ARGS__))
#define EACH_LATER()         EACH_NEXT
#define EACH_NONE            ()
#define EACH_READ(...)       EACH_READ16(EACH_READ16(EACH_READ16(EACH_READ16(__VA_ARGS__))))
#define EACH_READ16(...)     EACH_READ4(EACH_READ4(EACH_READ4(EACH_READ4(__VA_ARGS__))))
#define EACH_READ4(...)      EACH_READ1(EACH_READ1(EACH_READ1(EACH_READ1(__VA_ARGS__))))
#define EACH_READ1(...)      __VA_ARGS__
#endif

#endif
