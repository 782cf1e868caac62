# For Makefiles of nodes: finds dora, or installs that of this checkout into build/dora.
#
#   DORA_PREFIX       where it is installed; taken from pkg-config when empty
#   DORA_PKG_CONFIG   pkg-config, as it has to be called
#   DORA_READY        what nodes depend on

DORA_HERE := $(dir $(lastword $(MAKEFILE_LIST)))
DORA_PREFIX ?=

ifeq ($(DORA_PREFIX),)
ifneq ($(shell pkg-config --exists dora-node-api-c 2>/dev/null && echo yes),yes)
DORA_PREFIX := $(CURDIR)/build/dora
$(DORA_PREFIX)/lib/pkgconfig/dora-node-api-c.pc:
	$(DORA_HERE)install.sh --prefix $(DORA_PREFIX)
endif
endif

ifeq ($(DORA_PREFIX),)
DORA_PKG_CONFIG := pkg-config
DORA_READY :=
else
DORA_PKG_CONFIG := PKG_CONFIG_PATH=$(DORA_PREFIX)/lib/pkgconfig pkg-config
DORA_READY := $(DORA_PREFIX)/lib/pkgconfig/dora-node-api-c.pc
endif

# The first target of the Makefile that includes this is the one to make.
.DEFAULT_GOAL := all
