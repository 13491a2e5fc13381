/* motion_plain.h - other names for motion, so that motion_bench can hold it twice: the Makefile
 * includes this before everything else in the copy that is built without the vectoriser. */
#pragma once

#define motion_model_new         plain_model_new
#define motion_model_free        plain_model_free
#define motion_model_see         plain_model_see
#define motion_cells_compare     plain_cells_compare
#define motion_cells_contrast    plain_cells_contrast
#define motion_cells_vote        plain_cells_vote
#define motion_cells_learn       plain_cells_learn
#define motion_cells_learn_young plain_cells_learn_young
