// SPDX-License-Identifier: Apache-2.0

package gpio

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"
)

// header of the kernel, and what this package makes of it, as lines of a C program: name, and value.
func layout() (names []string, ours map[string]uint64) {
	ours = map[string]uint64{}
	add := func(name string, value uint64) { names, ours[name] = append(names, name), value }
	var chip chipInfo
	var req lineRequest
	var conf lineConfig
	var attr configAttribute
	var info lineInfo
	add("sizeof(struct gpiochip_info)", uint64(unsafe.Sizeof(chip)))
	add("offsetof(struct gpiochip_info, lines)", uint64(unsafe.Offsetof(chip.lines)))
	add("sizeof(struct gpio_v2_line_request)", uint64(unsafe.Sizeof(req)))
	add("offsetof(struct gpio_v2_line_request, consumer)", uint64(unsafe.Offsetof(req.consumer)))
	add("offsetof(struct gpio_v2_line_request, config)", uint64(unsafe.Offsetof(req.config)))
	add("offsetof(struct gpio_v2_line_request, num_lines)", uint64(unsafe.Offsetof(req.numLines)))
	add("offsetof(struct gpio_v2_line_request, event_buffer_size)", uint64(unsafe.Offsetof(req.eventSize)))
	add("offsetof(struct gpio_v2_line_request, fd)", uint64(unsafe.Offsetof(req.fd)))
	add("sizeof(struct gpio_v2_line_config)", uint64(unsafe.Sizeof(conf)))
	add("offsetof(struct gpio_v2_line_config, num_attrs)", uint64(unsafe.Offsetof(conf.numAttrs)))
	add("offsetof(struct gpio_v2_line_config, attrs)", uint64(unsafe.Offsetof(conf.attrs)))
	add("sizeof(struct gpio_v2_line_config_attribute)", uint64(unsafe.Sizeof(attr)))
	add("offsetof(struct gpio_v2_line_config_attribute, mask)", uint64(unsafe.Offsetof(attr.mask)))
	add("offsetof(struct gpio_v2_line_attribute, flags)", uint64(unsafe.Offsetof(attr.attr.value)))
	add("sizeof(struct gpio_v2_line_info)", uint64(unsafe.Sizeof(info)))
	add("offsetof(struct gpio_v2_line_info, consumer)", uint64(unsafe.Offsetof(info.consumer)))
	add("offsetof(struct gpio_v2_line_info, offset)", uint64(unsafe.Offsetof(info.offset)))
	add("offsetof(struct gpio_v2_line_info, flags)", uint64(unsafe.Offsetof(info.flags)))
	add("sizeof(struct gpio_v2_line_values)", uint64(unsafe.Sizeof(lineValues{})))
	add("offsetof(struct gpio_v2_line_values, mask)", uint64(unsafe.Offsetof(lineValues{}.mask)))
	add("sizeof(struct gpio_v2_line_event)", eventSize)
	add("offsetof(struct gpio_v2_line_event, id)", 8)
	add("offsetof(struct gpio_v2_line_event, line_seqno)", 20)
	add("GPIO_MAX_NAME_SIZE", nameSize)
	add("GPIO_V2_LINES_MAX", linesMax)
	add("GPIO_V2_LINE_NUM_ATTRS_MAX", attrsMax)
	add("GPIO_GET_CHIPINFO_IOCTL", getChipInfo)
	add("GPIO_V2_GET_LINEINFO_IOCTL", getLineInfo)
	add("GPIO_V2_GET_LINE_IOCTL", getLine)
	add("GPIO_V2_LINE_SET_CONFIG_IOCTL", setConfig)
	add("GPIO_V2_LINE_GET_VALUES_IOCTL", getValues)
	add("GPIO_V2_LINE_SET_VALUES_IOCTL", setValues)
	for name, value := range map[string]uint64{
		"ACTIVE_LOW": flagActiveLow, "INPUT": flagInput, "OUTPUT": flagOutput, "EDGE_RISING": flagEdgeRising, "EDGE_FALLING": flagEdgeFalling,
		"OPEN_DRAIN": flagOpenDrain, "OPEN_SOURCE": flagOpenSource, "BIAS_PULL_UP": flagPullUp, "BIAS_PULL_DOWN": flagPullDown,
		"BIAS_DISABLED": flagPullOff,
	} {
		add("GPIO_V2_LINE_FLAG_"+name, value)
	}
	add("GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES", attrValues)
	add("GPIO_V2_LINE_ATTR_ID_DEBOUNCE", attrDebounce)
	add("GPIO_V2_LINE_EVENT_RISING_EDGE", eventRising)
	add("GPIO_V2_LINE_EVENT_FALLING_EDGE", eventFalling)
	return names, ours
}

// known are some of the values, as they are on every machine.
func known() map[string]uint64 {
	return map[string]uint64{
		"sizeof(struct gpiochip_info)": 68, "sizeof(struct gpio_v2_line_request)": 592, "sizeof(struct gpio_v2_line_config)": 272,
		"sizeof(struct gpio_v2_line_info)": 256, "sizeof(struct gpio_v2_line_values)": 16, "offsetof(struct gpio_v2_line_request, fd)": 588,
		"offsetof(struct gpio_v2_line_request, config)": 288, "offsetof(struct gpio_v2_line_info, flags)": 72,
	}
}

func TestLayoutIsTheKernels(t *testing.T) {
	names, ours := layout()
	for name, want := range known() {
		if ours[name] != want {
			t.Errorf("%s is %d, want %d", name, ours[name], want)
		}
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Fatal(err, "(internal/tools/debian installs it)")
	}
	var c strings.Builder
	c.WriteString("#include <stddef.h>\n#include <stdio.h>\n#include <linux/gpio.h>\nint main(void) {\n")
	for _, name := range names {
		fmt.Fprintf(&c, "printf(\"%%llu\\n\", (unsigned long long)(%s));\n", name)
	}
	c.WriteString("}\n")
	source, program := filepath.Join(t.TempDir(), "layout.c"), filepath.Join(t.TempDir(), "layout")
	if err := os.WriteFile(source, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(gcc, "-o", program, source).CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	values := strings.Fields(string(out))
	if len(values) != len(names) {
		t.Fatalf("%d values for %d names", len(values), len(names))
	}
	for i, name := range names {
		if got := fmt.Sprint(ours[name]); got != values[i] {
			t.Errorf("%s is %s here and %s in the kernel", name, got, values[i])
		}
	}
}
