// SPDX-License-Identifier: Apache-2.0

package hardware

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"periph.io/x/host/v3/sysfs"

	"edged/devices"
)

// openBus opens an I²C bus by the kernel's name, "i2c-1". Periph's bus is opened directly: its host.Init would look for
// every board that it knows, take all GPIO chips and close descriptors that are not its own.
func openBus(name string) (devices.Bus, error) {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "i2c-"))
	if err != nil {
		return nil, &devices.Trouble{Code: devices.Absent, Text: fmt.Sprintf("%q is no I²C bus", name), Do: "name it as /dev does, such as i2c-1"}
	}
	bus, err := sysfs.NewI2C(n)
	if err == nil {
		return bus, nil
	}
	// The library's errors keep the text of the cause, not the cause.
	path := "/dev/i2c-" + strconv.Itoa(n)
	f, cause := os.OpenFile(path, os.O_RDWR, 0)
	if cause == nil {
		return nil, &devices.Trouble{Code: devices.Absent, Text: path + " is no I²C bus", Do: "name another", Err: f.Close()}
	}
	if os.IsPermission(cause) {
		return nil, &devices.Trouble{
			Code: devices.Forbidden, Text: "no permission for " + path,
			Do: "add the user that edged runs as to the group i2c, and start edged again", Err: cause,
		}
	}
	return nil, &devices.Trouble{
		Code: devices.Absent, Text: "there is no bus " + name,
		Do: "switch I²C on (on a Raspberry Pi: dtparam=i2c_arm=on in config.txt), or see ls /dev/i2c-* for what is there", Err: cause,
	}
}
