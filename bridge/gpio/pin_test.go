// SPDX-License-Identifier: Apache-2.0

package gpio

import (
	"os"
	"testing"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

func TestPinIsWhatPeriphWants(t *testing.T) {
	k := &fakeKernel{chips: raspberry()}
	p := newChips(t, k).Pin("GPIO17")
	if p.Function() != "" || p.WaitForEdge(-1) || p.Read() == gpio.High {
		t.Error("a pin that was not taken does something")
	}
	if err := p.In(gpio.PullUp, gpio.BothEdges); err != nil {
		t.Fatal(err)
	}
	if k.request.config.flags&flagPullUp == 0 || p.Pull() != gpio.PullUp || p.Function() != "In" || p.Name() != "GPIO17" || p.String() != "GPIO17" {
		t.Errorf("taken as %#x, %s", k.request.config.flags, p.Function())
	}
	if p.WaitForEdge(time.Millisecond) {
		t.Error("an edge that never came")
	}
	k.send(k.edge(0, true, 1))
	if !p.WaitForEdge(-1) {
		t.Error("an edge was not seen")
	}
	k.level = true
	if p.Read() != gpio.High {
		t.Error("it is low")
	}
	k.down = os.ErrInvalid
	if p.Read() != gpio.Low {
		t.Error("what can't be read is high")
	}
	k.down = nil
	for _, l := range []gpio.Level{gpio.High, gpio.Low, gpio.High} {
		if err := p.Out(l); err != nil {
			t.Fatal(err)
		}
	}
	if k.request.config.flags&flagOutput == 0 || !k.level || p.Function() != "Out" {
		t.Errorf("as an output it was taken as %#x, level %v", k.request.config.flags, k.level)
	}
	if p.PWM(gpio.DutyHalf, physic.Hertz) == nil {
		t.Error("it has PWM")
	}
	if err := p.Halt(); err != nil || p.Function() != "" {
		t.Errorf("after the end it is %s, %v", p.Function(), err)
	}
}
