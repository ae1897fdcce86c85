// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"net/http"
	"time"
)

// doctorPath is the one page that is asked for by POST: it makes the gateway go to the cloud.
const doctorPath = "/api/doctor/cloud"

// doctorTime is more than the way to several addresses takes, each of which may be silent at its last step.
const doctorTime = 2 * time.Minute

// safe tells whether a request that may change something was not made by a page of another site, in whose name a browser
// would log in. Browsers say where a POST comes from; what is no browser says nothing and has no login of its own.
func safe(r *http.Request) bool { return http.NewCrossOriginProtection().Check(r) == nil }

// serveDoctor answers with the same document as edged doctor cloud --json, once the way was gone. One at a time is.
func (c *Console) serveDoctor(w http.ResponseWriter, r *http.Request) {
	if !c.doctoring.TryLock() {
		c.refuse(w, http.StatusConflict, "somebody else is looking into the cloud at this moment; ask again")
		return
	}
	defer c.doctoring.Unlock()
	until := time.Now().Add(doctorTime)
	if err := http.NewResponseController(w).SetWriteDeadline(until.Add(answerTime)); err != nil {
		c.log.Debug("a connection keeps its deadline", "err", err)
	}
	ctx, cancel := context.WithDeadline(r.Context(), until)
	defer cancel()
	switch found, err := c.deps.Doctor(ctx); {
	case err != nil:
		c.refuse(w, http.StatusServiceUnavailable, err.Error())
	case found == nil:
		c.refuse(w, http.StatusNotFound, "no cloud is configured; to have one: edged connect URL")
	default:
		c.answer(w, http.StatusOK, found)
	}
}
