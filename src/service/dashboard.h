/*
 * dashboard.h: dashboard.html, compiled in. Private to the service.
 */
#ifndef FRESHET_SERVICE_DASHBOARD_H
#define FRESHET_SERVICE_DASHBOARD_H

#include <stddef.h>

extern const unsigned char freshet_dashboard_page[];
extern const size_t freshet_dashboard_page_size;

#endif
