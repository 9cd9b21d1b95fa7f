/*
 * dashboard.h: the page of the service, dashboard.html, compiled in. The page reads /metrics and nothing
 * else. Private to the service.
 */
#ifndef FRESHET_SERVICE_DASHBOARD_H
#define FRESHET_SERVICE_DASHBOARD_H

#include <stddef.h>

extern const unsigned char freshet_dashboard_page[];
extern const size_t freshet_dashboard_page_size;

#endif
