/* SPDX-License-Identifier: MIT */
/**
 * The version of spillkv, read by the build as well as by programs.
 *
 * The API version follows the interface (it names the shared library), the release version follows
 * the project.
 */
#ifndef SPILLKV_VERSION_H
#define SPILLKV_VERSION_H

#define SPILLKV_API_MAJOR 0
#define SPILLKV_API_MINOR 1
#define SPILLKV_API_PATCH 0

#define SPILLKV_VERSION "0.1.0"

#endif
