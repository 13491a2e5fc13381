/* onnx_runtime.h - ONNX Runtime's C API, as much as onnx.c uses of it.
 *
 * The API is one table of functions that only ever grows at its end, so version 1 of it is in every
 * release (onnxruntime_c_api.h, "OrtApi"). The numbers are places in that table; what stands
 * between those that are used is skipped. Objects are opaque. A function gives NULL when it
 * worked, else a status that the caller frees.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct ort_status;
struct ort_env;
struct ort_session;
struct ort_options;
struct ort_memory;
struct ort_allocator;
struct ort_type;
struct ort_shape;
struct ort_value;

#define ORT_VERSION         1
#define ORT_LOG_FATAL       4 /* it writes to standard error; what matters comes as a status */
#define ORT_OPTIMISE_ALL    99
#define ORT_FLOAT           1
#define ORT_ARENA_ALLOCATOR 1
#define ORT_MEMORY_DEFAULT  0

#define SLOT(name, ...) struct ort_status *(*name)(__VA_ARGS__)
#define SKIP(from, to)  void (*skip_##from[(to) - (from) + 1])(void)

struct ort {
    SKIP(0, 1);
    const char *(*message)(const struct ort_status *);
    SLOT(new_env, int level, const char *id, struct ort_env **);
    SKIP(4, 6);
    SLOT(new_session, const struct ort_env *, const char *path, const struct ort_options *,
         struct ort_session **);
    SKIP(8, 8);
    SLOT(run, struct ort_session *, const void *options, const char *const *in_names,
         const struct ort_value *const *in, size_t n_in, const char *const *out_names, size_t n_out,
         struct ort_value **out);
    SLOT(new_options, struct ort_options **);
    SKIP(11, 22);
    SLOT(set_optimisation, struct ort_options *, int level);
    SLOT(set_threads, struct ort_options *, int n);
    SKIP(25, 29);
    SLOT(count_inputs, const struct ort_session *, size_t *);
    SLOT(count_outputs, const struct ort_session *, size_t *);
    SKIP(32, 32);
    SLOT(input_type, const struct ort_session *, size_t i, struct ort_type **);
    SKIP(34, 35);
    SLOT(input_name, const struct ort_session *, size_t i, struct ort_allocator *, char **);
    SLOT(output_name, const struct ort_session *, size_t i, struct ort_allocator *, char **);
    SKIP(38, 48);
    SLOT(new_value, const struct ort_memory *, void *data, size_t n_bytes, const int64_t *dims,
         size_t n_dims, int element, struct ort_value **);
    SLOT(is_tensor, const struct ort_value *, int *);
    SLOT(data, struct ort_value *, void **);
    SKIP(52, 54);
    SLOT(shape_of_type, const struct ort_type *, const struct ort_shape **);
    SKIP(56, 59);
    SLOT(element, const struct ort_shape *, int *);
    SLOT(count_dims, const struct ort_shape *, size_t *);
    SLOT(dims, const struct ort_shape *, int64_t *, size_t n);
    SKIP(63, 64);
    SLOT(shape_of_value, const struct ort_value *, struct ort_shape **);
    SKIP(66, 68);
    SLOT(new_memory, int allocator, int type, struct ort_memory **);
    SKIP(70, 75);
    SLOT(free_text, struct ort_allocator *, void *);
    SKIP(77, 77);
    SLOT(allocator, struct ort_allocator **);
    SKIP(79, 91);
    void (*free_env)(struct ort_env *);
    void (*free_status)(struct ort_status *);
    void (*free_memory)(struct ort_memory *);
    void (*free_session)(struct ort_session *);
    void (*free_value)(struct ort_value *);
    SKIP(97, 97);
    void (*free_type)(struct ort_type *);
    void (*free_shape)(struct ort_shape *);
    void (*free_options)(struct ort_options *);
};

#define IS_SLOT(field, n)                                                                          \
    _Static_assert(offsetof(struct ort, field) == (n) * sizeof(void (*)(void)), #field)
IS_SLOT(message, 2);
IS_SLOT(run, 9);
IS_SLOT(set_threads, 24);
IS_SLOT(output_name, 37);
IS_SLOT(new_value, 49);
IS_SLOT(shape_of_type, 55);
IS_SLOT(shape_of_value, 65);
IS_SLOT(new_memory, 69);
IS_SLOT(allocator, 78);
IS_SLOT(free_env, 92);
IS_SLOT(free_options, 100);

struct ort_base {
    const struct ort *(*table)(uint32_t version);
    const char *(*version)(void);
};
